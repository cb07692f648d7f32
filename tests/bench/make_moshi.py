#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes a language model of a published size with random weights, to measure speed:

    make_mimi.py FOLDER && make_moshi.py [--shape hibiki-1b|hibiki-2b|moshi-7b] [--layers N] FOLDER

Writes config.json, model.safetensors (bf16, the published names and shapes; 3.6, 6.7 or 15.4 GB, less with
fewer layers) and the tokenizer of tiny-voice, beside the codec of make_mimi.py. Needs only Python. Then:

    build/parley bench lm --model FOLDER --threads 1
"""

import argparse
import json
import math
import random
import shutil
import struct
from array import array
from pathlib import Path

TOKENIZER = Path(__file__).resolve().parents[2] / "models/tiny-voice/tokenizer.model"

COMMON = {
    "card": 2048, "existing_text_padding_id": 3, "hidden_scale": 4.125, "causal": True, "layer_scale": None,
    "gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope", "depformer_dim": 1024,
    "depformer_dim_feedforward": 4224, "depformer_num_heads": 16, "depformer_num_layers": 6,
    "depformer_multi_linear": True, "depformer_pos_emb": "none", "depformer_weights_per_step": True,
    "moshi_name": "model.safetensors", "mimi_name": "mimi.safetensors", "tokenizer_name": "tokenizer.model",
    "model_type": "moshi",
}
SHAPES = {
    "hibiki-1b": {"dim": 2048, "num_layers": 16, "num_heads": 16, "text_card": 48000, "n_q": 16, "dep_q": 8,
                  "context": 1500, "max_period": 100000},
    "hibiki-2b": {"dim": 2560, "num_layers": 24, "num_heads": 20, "text_card": 48000, "n_q": 32, "dep_q": 16,
                  "context": 1500, "max_period": 100000},
    "moshi-7b": {"dim": 4096, "num_layers": 32, "num_heads": 32, "text_card": 32000, "n_q": 16, "dep_q": 8,
                 "context": 3000, "max_period": 10000},
}


def hidden(ff, dim):
    return 21 * dim // 8 if ff == 4 * dim else 2 * ff // 3


def tensors(c):
    """{name: shape}"""
    d, e, sets = c["dim"], c["depformer_dim"], c["dep_q"]
    out = {"text_emb.weight": [c["text_card"] + 1, d], "out_norm.alpha": [1, 1, d],
           "text_linear.weight": [c["text_card"], d], "depformer_text_emb.weight": [c["text_card"] + 1, e]}
    for k in range(c["n_q"]):
        out[f"emb.{k}.weight"] = [c["card"] + 1, d]
    for i in range(c["num_layers"]):
        h = hidden(int(c["hidden_scale"] * d), d)
        p = f"transformer.layers.{i}."
        out |= {p + "self_attn.in_proj_weight": [3 * d, d], p + "self_attn.out_proj.weight": [d, d],
                p + "norm1.alpha": [1, 1, d], p + "norm2.alpha": [1, 1, d],
                p + "gating.linear_in.weight": [2 * h, d], p + "gating.linear_out.weight": [d, h]}
    for i in range(c["depformer_num_layers"]):
        h = hidden(c["depformer_dim_feedforward"], e)
        p = f"depformer.layers.{i}."
        out |= {p + "self_attn.in_proj_weight": [sets * 3 * e, e], p + "self_attn.out_proj.weight": [sets * e, e],
                p + "norm1.alpha": [1, 1, e], p + "norm2.alpha": [1, 1, e]}
        for w in range(sets):
            out |= {f"{p}gating.{w}.linear_in.weight": [2 * h, e], f"{p}gating.{w}.linear_out.weight": [e, h]}
    for k in range(c["dep_q"]):
        out |= {f"depformer_in.{k}.weight": [e, d], f"linears.{k}.weight": [c["card"], e]}
        if k:
            out[f"depformer_emb.{k - 1}.weight"] = [c["card"] + 1, e]
    return out


def bf16(values):
    """Truncated: what is measured does not care."""
    return array("H", (x >> 16 for x in struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))))


class Noise:
    """One block of Gauss noise for each power of two, repeated over a tensor."""

    def __init__(self):
        rng = random.Random(1)
        self.unit = [rng.gauss(0, 1) for _ in range(262139)]         # a prime: rows do not repeat
        self.blocks = {}

    def write(self, file, n, power):
        if power not in self.blocks:
            self.blocks[power] = bf16([x * 2.0 ** power for x in self.unit]).tobytes() * 16
        block = self.blocks[power]
        while n > 0:
            file.write(block[:2 * n])
            n -= len(block) // 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="hibiki-1b")
    parser.add_argument("--layers", type=int, help="of the temporal transformer, instead of the shape's")
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    c = {**COMMON, **SHAPES[args.shape]}
    if args.layers:
        c["num_layers"] = args.layers
    voice = lambda n: [0] + [1] * (n - 1)
    c["delays"] = [0] + voice(c["dep_q"]) + voice(c["n_q"] - c["dep_q"])
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "config.json").write_text(json.dumps(c, indent=1) + "\n")
    shutil.copy(TOKENIZER, args.folder / "tokenizer.model")

    head, at, all_tensors = {}, 0, tensors(c)
    for name, shape in all_tensors.items():
        size = 2 * math.prod(shape)
        head[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    noise = Noise()
    with open(args.folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in all_tensors.items():
            if name.endswith("alpha"):
                file.write(bf16([1.0] * math.prod(shape)).tobytes())
            else:
                noise.write(file, math.prod(shape), round(-math.log2(shape[-1]) / 2))
    print(f"{args.folder}: {at / 2e9:.2f} G weights, {at / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
