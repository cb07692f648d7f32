#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a codec of the published size with random weights, to measure speed: make_mimi.py FOLDER

Writes config.json and mimi.safetensors (385 MB, f32, the published names and shapes); there is no
mimi_config.json, so the published values hold. Needs only Python. Then, for example:

    build/parley bench codec --model FOLDER
"""

import json
import random
import struct
import sys
from array import array
from pathlib import Path

RATIOS, FILTERS, DIM, LAYERS, HIDDEN = [8, 6, 5, 4], 64, 512, 8, 2048
BOOKS, BINS, BOOK_DIM = 32, 2048, 256


def conv(out, name, n_out, n_in, k, transposed=False):
    shape = [n_in, n_out, k] if transposed else [n_out, n_in, k]
    out[name + ".weight"] = shape, (2 * n_in if transposed else n_in * k) ** -0.5
    out[name + ".bias"] = [n_out], 0.01


def block(out, name, n):
    conv(out, f"{name}.block.1.conv.conv", n // 2, n, 3)
    conv(out, f"{name}.block.3.conv.conv", n, n // 2, 1)


def seanet(out):
    n = FILTERS
    conv(out, "encoder.model.0.conv.conv", n, 1, 7)
    for i, ratio in enumerate(reversed(RATIOS)):
        block(out, f"encoder.model.{3 * i + 1}", n)
        conv(out, f"encoder.model.{3 * i + 3}.conv.conv", 2 * n, n, 2 * ratio)
        n *= 2
    conv(out, "encoder.model.14.conv.conv", DIM, n, 3)
    conv(out, "decoder.model.0.conv.conv", n, DIM, 7)
    for i, ratio in enumerate(RATIOS):
        conv(out, f"decoder.model.{3 * i + 2}.convtr.convtr", n // 2, n, 2 * ratio, True)
        n //= 2
        block(out, f"decoder.model.{3 * i + 3}", n)
    conv(out, "decoder.model.14.conv.conv", 1, n, 3)


def transformer(out, name):
    for i in range(LAYERS):
        p = f"{name}.transformer.layers.{i}."
        out[p + "self_attn.in_proj_weight"] = [3 * DIM, DIM], DIM ** -0.5
        out[p + "self_attn.out_proj.weight"] = [DIM, DIM], DIM ** -0.5
        out[p + "linear1.weight"] = [HIDDEN, DIM], DIM ** -0.5
        out[p + "linear2.weight"] = [DIM, HIDDEN], HIDDEN ** -0.5
        for k in "12":
            out[p + f"norm{k}.weight"] = [DIM], None
            out[p + f"norm{k}.bias"] = [DIM], 0.01
            out[p + f"layer_scale_{k}.scale"] = [DIM], 0.01


def quantizer(out):
    for half, n in (("rvq_first", 1), ("rvq_rest", BOOKS - 1)):
        p = f"quantizer.{half}."
        out[p + "input_proj.weight"] = [BOOK_DIM, DIM, 1], DIM ** -0.5
        out[p + "output_proj.weight"] = [DIM, BOOK_DIM, 1], BOOK_DIM ** -0.5
        for i in range(n):
            q = p + f"vq.layers.{i}._codebook."
            out[q + "_initialized"] = [1], None
            out[q + "cluster_usage"] = [BINS], None
            out[q + "embedding_sum"] = [BINS, BOOK_DIM], 0.5


def tensors():
    """-> name: shape, deviation (None: ones)"""
    out = {}
    seanet(out)
    transformer(out, "encoder_transformer")
    transformer(out, "decoder_transformer")
    out["downsample.conv.conv.conv.weight"] = [DIM, DIM, 4], (4 * DIM) ** -0.5
    out["upsample.convtr.convtr.convtr.weight"] = [DIM, 1, 4], 0.7
    quantizer(out)
    return out


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    noise = [rng.gauss(0, 1) for _ in range(65537)]          # a prime length: rows do not repeat
    header, at = {}, 0
    for name, (shape, _) in tensors().items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "mimi.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, (shape, scale) in tensors().items():
            left = (header[name]["data_offsets"][1] - header[name]["data_offsets"][0]) // 4
            part = array("f", [1.0] * 65537 if scale is None else [scale * x for x in noise])
            while left > 0:
                f.write(part[:left].tobytes())
                left -= len(part)
    (folder / "config.json").write_text(json.dumps({"model_type": "mimi", "mimi_name": "mimi.safetensors"}))


if __name__ == "__main__":
    main()
