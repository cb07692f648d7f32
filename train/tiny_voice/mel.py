# SPDX-License-Identifier: MIT
"""The mel filters that training and evaluation share."""

import functools
import math

import numpy as np

from .audio import RATE

FLOOR = 3e-2            # added to a mel band before its logarithm: what is fainter is silence


@functools.lru_cache
def filters(n_fft, n_mel):
    """Triangles from 0 Hz to half the rate. -> float32 [n_mel, n_fft / 2 + 1]"""
    top = 2595 * math.log10(1 + RATE / 2 / 700)
    hz = 700 * (10 ** (np.linspace(0, top, n_mel + 2) / 2595) - 1)
    f = np.linspace(0, RATE / 2, n_fft // 2 + 1)
    up = (f - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    down = (hz[2:, None] - f) / (hz[2:] - hz[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


def log_mel(x, n_fft=1024, hop=480, n_mel=40):
    """float32 [n] -> natural log of mel magnitudes [n_mel, 1 + n / hop], centred windows."""
    x = np.pad(x, n_fft // 2, mode="reflect" if len(x) > n_fft // 2 else "constant")
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop] * window
    spectrum = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32)
    return np.log(filters(n_fft, n_mel) @ spectrum.T + FLOOR)
