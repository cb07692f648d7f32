# SPDX-License-Identifier: MIT
"""What lies between a speaker and the model: background, microphone, room."""

import numpy as np
import scipy.signal as signal

from .audio import RATE

BACKGROUNDS = ("digital silence", "faint white", "pink", "hum and pink", "louder pink")
LEVELS_DB = (None, (-72, -62), (-64, -52), (-62, -52), (-52, -44))       # of full scale


def background(rng, n, kind):
    """n samples of BACKGROUNDS[kind]."""
    if kind == 0:
        return np.zeros(n, np.float32)
    x = rng.standard_normal(n).astype(np.float32)
    if kind > 1:
        x = signal.lfilter([0.05], [1, -0.95], x) * 6
    level = 10 ** (rng.uniform(*LEVELS_DB[kind]) / 20)
    if kind == 3:
        t = np.arange(n) / RATE
        mains = rng.choice([50, 60])
        x = x + sum(np.sin(2 * np.pi * mains * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3, 5))
    return (x * level).astype(np.float32)


def room(rng, x):
    """x through a random microphone and room: tilt, band, short reverberation. Same length."""
    if rng.random() < 0.5:
        tilt = rng.uniform(-0.5, 0.7)
        b, a = ([1, -tilt], [1]) if tilt > 0 else ([1 + tilt], [1, tilt])
        x = signal.lfilter(b, a, x)
    if rng.random() < 0.3:
        band = [rng.uniform(60, 250), rng.uniform(3600, 9000)]
        x = signal.sosfilt(signal.butter(2, band, "band", fs=RATE, output="sos"), x)
    if rng.random() < 0.4:
        n = int(RATE * rng.uniform(0.03, 0.18))
        tail = rng.standard_normal(n) * np.exp(-6 * np.arange(n) / n)
        tail *= rng.uniform(0.05, 0.35) / np.sqrt((tail ** 2).sum())
        x = signal.fftconvolve(x, np.concatenate([[1], tail]))[:len(x)]
    return x.astype(np.float32)
