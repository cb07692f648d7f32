# SPDX-License-Identifier: MIT
"""What lies between a speaker and the model: background, microphone, room."""

import numpy as np
import scipy.signal as signal

from .audio import RATE

# name: (loudness of its own, in dB of full scale; share among the training questions)
BACKGROUNDS = {
    "digital silence": (None, 0.16),
    "faint white": ((-74, -60), 0.16),
    "pink": ((-64, -50), 0.14),
    "hum and pink": ((-62, -48), 0.08),
    "louder pink": ((-50, -38), 0.10),
    "louder white": ((-54, -40), 0.06),
    "voices": ((-52, -32), 0.12),
    "music": ((-54, -32), 0.08),
    "clicks": ((-62, -46), 0.05),
    "brown": ((-56, -34), 0.05),
}
NAMES = list(BACKGROUNDS)
# Voices so loud that they must be told from the user by more than that: one background for each
# step of loudness, so that they go on as loud when the question is over.
CROWDS = {"crowd 1": (-38, -34), "crowd 2": (-34, -30), "crowd 3": (-30, -26),
          "crowd 4": (-26, -20)}
# Never behind a question, only by themselves: what must not be taken for speech.
LOUD = {"white": (-40, -14), "pink": (-36, -12), "brown": (-36, -12), "music": (-34, -12),
        "hum and pink": (-40, -20), "clicks": (-40, -20)}


def _white(rng, n):
    return rng.standard_normal(n).astype(np.float32)


def _pink(rng, n):
    return signal.lfilter([0.05], [1, -0.95], _white(rng, n)).astype(np.float32) * 6


def _brown(rng, n):
    return signal.lfilter([0.01], [1, -0.99], _white(rng, n)).astype(np.float32) * 14


def _hum(rng, n):
    t = np.arange(n) / RATE
    mains = rng.choice([50, 60])
    tones = sum(np.sin(2 * np.pi * mains * k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3, 5))
    return _pink(rng, n) * 0.7 + tones


def _music(rng, n):
    """Random chords of plucked and held tones over a beat: nothing like any real piece."""
    x, at, beat = np.zeros(n), 0, int(RATE * rng.uniform(0.12, 0.5))
    root, scale = rng.uniform(80, 300), np.array([0, 2, 4, 5, 7, 9, 11, 12])
    decay, bright = rng.uniform(1.5, 12), rng.uniform(0.3, 1.2)
    while at < n:
        length = min(n - at, beat * int(rng.integers(1, 5)))
        t = np.arange(length) / RATE
        for _ in range(int(rng.integers(1, 4))):
            f = root * 2 ** ((scale[rng.integers(8)] + 12 * rng.integers(3)) / 12)
            tone = sum(np.sin(2 * np.pi * f * k * t) / k ** (1 / bright) for k in range(1, 6)
                       if f * k < RATE / 2)
            x[at:at + length] += tone * np.exp(-decay * t) * np.minimum(1, t * 200)
        if rng.random() < 0.4:                                      # a drum
            m = min(n - at, 2400)
            x[at:at + m] += 2 * rng.standard_normal(m) * np.exp(-np.arange(m) / 500)
        at += beat
    return x


def _clicks(rng, n):
    """Somebody types."""
    x = _pink(rng, n) * 0.3
    for at in np.cumsum(rng.exponential(0.25, max(1, n * 4 // RATE)) * RATE).astype(int):
        m = min(n - at, 600)
        if m > 0:
            x[at:at + m] += 8 * rng.random() * rng.standard_normal(m) * np.exp(-np.arange(m) / 90)
    return x


_MAKE = {"faint white": _white, "pink": _pink, "hum and pink": _hum, "louder pink": _pink,
         "louder white": _white, "music": _music, "clicks": _clicks, "brown": _brown,
         "white": _white}


def noise(rng, n, name, span_db, voices=None):
    """n samples of a background at a random level of span_db; voices: float [m] of many people."""
    if span_db is None:
        return np.zeros(n, np.float32)
    if name == "voices" or name in CROWDS:
        x = np.take(voices, rng.integers(len(voices)) + np.arange(n), mode="wrap")
    else:
        x = _MAKE[name](rng, n)
    level = 10 ** (rng.uniform(*span_db) / 20)
    return (x * (level / max(1e-4, np.sqrt(np.mean(np.square(x)))))).astype(np.float32)


def background(rng, n, name, voices=None):
    return noise(rng, n, name, BACKGROUNDS[name][0], voices)


def _echo(rng, x, seconds, share):
    n = int(RATE * seconds)
    tail = rng.standard_normal(n) * np.exp(-6 * np.arange(n) / n)
    tail *= share / np.sqrt((tail ** 2).sum())
    return signal.fftconvolve(x, np.concatenate([[1], tail]))[:len(x)]


def room(rng, x):
    """x through a random microphone and room: tilt, band, reverberation, clipping. Same length."""
    if rng.random() < 0.6:
        tilt = rng.uniform(-0.6, 0.8)
        b, a = ([1, -tilt], [1]) if tilt > 0 else ([1 + tilt], [1, tilt])
        x = signal.lfilter(b, a, x)
    if rng.random() < 0.3:                                          # a resonance or a hole
        b, a = signal.iirpeak(rng.uniform(200, 6000), rng.uniform(0.7, 3), fs=RATE)
        x = x + rng.uniform(-0.7, 2.0) * signal.lfilter(b, a, x)
    kind = rng.random()
    if kind < 0.25:
        band = [rng.uniform(60, 250), rng.uniform(4200, 10000)]
        x = signal.sosfilt(signal.butter(2, band, "band", fs=RATE, output="sos"), x)
    elif kind < 0.45:                                               # a telephone
        band = [rng.uniform(100, 320), rng.uniform(3200, 3900)]
        x = signal.sosfilt(signal.butter(5, band, "band", fs=RATE, output="sos"), x)
    if rng.random() < 0.45:
        x = _echo(rng, x, rng.uniform(0.03, 0.35), rng.uniform(0.05, 0.5))
    if rng.random() < 0.06:
        top = np.abs(x).max() * rng.uniform(0.15, 0.6)
        x = np.clip(x, -top, top)
    return x.astype(np.float32)
