# SPDX-License-Identifier: MIT
"""Plain sound: constants, WAV files, resampling, trimming. Needs numpy and scipy only."""

import math
import wave

import numpy as np
from scipy.signal import resample_poly

RATE = 24000                    # samples a second
FRAME = 1920                    # samples a frame of the model
FRAME_RATE = RATE / FRAME       # 12.5 frames a second
LABEL = 480                     # samples a phoneme label, 20 ms; four labels a frame


def frame_of(seconds):
    """The frame that holds this moment."""
    return int(seconds * FRAME_RATE)


def resample(x, rate, rate_out=RATE):
    g = math.gcd(rate, rate_out)
    if rate == rate_out:
        return x.astype(np.float32)
    return resample_poly(x, rate_out // g, rate // g).astype(np.float32)


def speech_span(x, level=0.004):
    """First and last sample (one past) of what is above `level` of the peak, with a margin."""
    loud = np.flatnonzero(np.abs(x) > level * np.abs(x).max())
    if len(loud) == 0:
        return 0, len(x)
    return max(0, int(loud[0]) - 240), min(len(x), int(loud[-1]) + 960)


def to_int16(x):
    return (np.clip(x, -1, 1) * 32767).astype("<i2")


def to_float(x):
    return x.astype(np.float32) / 32768


def write_wav(path, x, rate=RATE):
    """x float32 [n] or [channel, n] as 16-bit WAV."""
    with wave.open(str(path), "wb") as f:
        f.setnchannels(x.shape[0] if x.ndim > 1 else 1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(to_int16(x.T).tobytes())


def read_wav(path):
    """16-bit mono WAV at 24 kHz -> float32 [n]."""
    with wave.open(str(path), "rb") as f:
        if (f.getnchannels(), f.getsampwidth(), f.getframerate()) != (1, 2, RATE):
            raise ValueError(f"{path} is not 16-bit mono at {RATE} Hz")
        return to_float(np.frombuffer(f.readframes(f.getnframes()), "<i2"))
