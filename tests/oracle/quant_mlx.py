#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goldens of tests/kernel/quant.c: what mx.quantize makes of a bf16 matrix with awkward rows.

Made with mlx 0.32.4 (pip install "mlx[cpu]"), numpy 1.x or 2.x. Usage: quant_mlx.py [OUT.safetensors]
Every tensor is named after bits and group: q4g32.weight (U32), .scales, .biases (BF16).
"""
import sys

import mlx.core as mx
import numpy as np


def matrix():
    rng = np.random.default_rng(7)
    w = rng.normal(0, 0.02, (24, 192)).astype(np.float32)
    w[1] = 0  # nothing to divide by
    w[2] = 0.37  # all equal, positive
    w[3] = -0.37
    w[4] = np.abs(w[4])  # one sign only
    w[5] = -np.abs(w[5])
    w[6] *= 1e-6  # below the smallest scale
    w[7] *= 1e4
    w[8, ::2] = 1.5  # two values
    w[8, 1::2] = -1.5  # edges of equal size
    w[9] = 5 + w[9]  # far from zero
    w[10] = np.linspace(-1, 1, 192)
    w[11, 0] = 3  # one outlier
    return mx.array(w).astype(mx.bfloat16)


def main():
    w = matrix()
    out = {"w": w}
    for bits in (4, 8):
        for group in (32, 64):
            q, scales, biases = mx.quantize(w, group_size=group, bits=bits, stream=mx.cpu)
            name = f"q{bits}g{group}"
            out[name + ".weight"], out[name + ".scales"], out[name + ".biases"] = q, scales, biases
            assert scales.dtype == mx.bfloat16 and q.dtype == mx.uint32
    path = sys.argv[1] if len(sys.argv) > 1 else "tests/kernel/mlx_quant.safetensors"
    mx.save_safetensors(path, out)


main()
