#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kyutai's `moshi` for PyTorch on random weights of a true shape, for tests/bench/peers.

Reads lines `mimi N` and `lm N`, answers each with one line of JSON: the milliseconds of N frames. The model is made by
the first line that needs it. Needs the packages moshi and torch.

    moshi_pytorch.py --shape moshi-7b|moshi-2b|moshi-1b --threads N
"""

import argparse
import json
import sys
import time

import torch
from moshi.models import LMGen, loaders

SHAPES = {
    "moshi-7b": {},
    "moshi-2b": {"dim": 2560, "num_layers": 24, "num_heads": 20, "text_card": 48000, "n_q": 32, "dep_q": 16,
                 "context": 3000, "max_period": 100000, "delays": [0] + 2 * ([0] + 15 * [2])},
    "moshi-1b": {"dim": 2048, "num_layers": 16, "num_heads": 16, "text_card": 48000, "n_q": 16, "dep_q": 8,
                 "context": 1500, "max_period": 100000, "delays": [0] + 2 * ([0] + 7 * [2])},
}


def fill(model):
    """Noise of variance 1 / columns in every parameter: one block of it, over and over."""
    noise = torch.randn(1 << 20)
    for name, p in model.named_parameters():
        flat = p.data.view(-1)
        if p.dim() < 2 or "norm" in name or "alpha" in name:
            flat.fill_(0.01 if "bias" in name or "scale" in name else 1)
            continue
        block = (noise * p.shape[-1] ** -0.5).to(p.dtype)
        for i in range(0, flat.numel(), block.numel()):
            n = min(block.numel(), flat.numel() - i)
            flat[i:i + n] = block[:n]


class Mimi:
    def __init__(self):
        self.model = loaders.get_mimi(None, num_codebooks=8)
        fill(self.model)
        self.model.streaming_forever(1)
        self.sound = torch.randn(1, 1, 1920) * 0.1
        for _ in range(8):
            self.frame()

    def frame(self):
        start = time.perf_counter()
        codes = self.model.encode(self.sound)
        half = time.perf_counter()
        self.model.decode(codes)
        end = time.perf_counter()
        return {"encode": 1e3 * (half - start), "decode": 1e3 * (end - half), "frame": 1e3 * (end - start)}


class Lm:
    def __init__(self, shape):
        kwargs = dict(loaders._lm_kwargs) | SHAPES[shape]
        model = loaders.get_moshi_lm(None, kwargs, device=torch.device("meta"))
        model = model.to_empty(device="cpu")
        fill(model)
        self.n_user = kwargs["n_q"] - kwargs["dep_q"]
        self.gen = LMGen(model.eval())
        self.gen.streaming_forever(1)
        self.codes = torch.zeros(1, self.n_user, 1, dtype=torch.long)
        for _ in range(3):
            self.frame()

    def frame(self):
        start = time.perf_counter()
        self.gen.step(self.codes)
        return {"frame": 1e3 * (time.perf_counter() - start)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, default="moshi-2b")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    made = {}
    with torch.no_grad():
        for line in sys.stdin:
            what, n = line.split()
            if what not in made:
                made[what] = Mimi() if what == "mimi" else Lm(args.shape)
            frames = [made[what].frame() for _ in range(int(n))]
            print(json.dumps({k: [f[k] for f in frames] for k in frames[0]} if frames else {}), flush=True)


if __name__ == "__main__":
    main()
