# SPDX-License-Identifier: MIT
"""Another throat for a voice: its formants moved and sharpened while its pitch and pace stay.

Synthesisers have few voices each. Resampling moves pitch and formants together; this moves the
formants alone, so that both together make speakers whom no synthesiser has.
"""

import numpy as np
import scipy.signal as signal

from .audio import RATE

WINDOW, HOP = 1024, 256
SMOOTH_S = 0.002                # shortest period that is pitch and not part of the envelope
KNEE_HZ = 2500                  # above it formants move by another factor
FLOOR = 1e-4                    # of the loudest bin: what is fainter has no formants
LOUDEST = 2.0                   # nepers, most that a bin is raised or lowered


def draw(rng):
    """-> how low and high formants move (1: they stay), how sharp they are (1: as they were)"""
    low = float(np.exp(np.clip(rng.normal(0, 0.09), -0.2, 0.2)))
    return dict(low=low, high=low * float(np.exp(rng.normal(0, 0.05))),
                sharp=float(np.exp(rng.uniform(-0.3, 0.2))))


def _envelope(spectrum):
    """[bins, frames] -> log of its magnitude without the pitch"""
    size = np.abs(spectrum)
    cepstrum = np.fft.irfft(np.log(size + FLOOR * size.max() + 1e-9), axis=0)
    keep = int(SMOOTH_S * RATE)
    cepstrum[keep:len(cepstrum) - keep + 1] = 0
    return np.fft.rfft(cepstrum, axis=0).real


def through(pcm, throat):
    """float32 [n] -> float32 [n], about as loud"""
    n = len(pcm)
    hz, _, spectrum = signal.stft(pcm, RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)
    before = _envelope(spectrum)
    knee = KNEE_HZ * throat["low"]
    come_from = np.where(hz < knee, hz / throat["low"], KNEE_HZ + (hz - knee) / throat["high"])
    at = np.minimum(come_from / hz[1], len(hz) - 1)
    low = np.minimum(at.astype(int), len(hz) - 2)
    part = (at - low)[:, None]
    after = before[low] * (1 - part) + before[low + 1] * part
    middle = after.mean(0)
    after = middle + throat["sharp"] * (after - middle)
    change = np.clip(after - before, -LOUDEST, LOUDEST)
    _, y = signal.istft(spectrum * np.exp(change), RATE, nperseg=WINDOW, noverlap=WINDOW - HOP)
    y = np.pad(y, (0, max(0, n - len(y))))[:n]
    loud = np.sqrt(np.mean(np.square(pcm)) / max(1e-12, np.mean(np.square(y))))
    return (y * loud).astype(np.float32)
