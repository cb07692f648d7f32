# SPDX-License-Identifier: MIT
"""gnuspeech: speech by a tube in the shape of a throat, which can be drawn anew for every speaker.

The npm package @echogarden/gnuspeech-wasm (GPL), a program for node, of which each process that
speaks runs one (gnuspeech.mjs).
"""

import functools
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from . import audio

PACKAGE = Path(sys.prefix) / "share" / "gnuspeech" / "wasm" / "gnuspeech.js"
# length of the tube in cm, pitch in semitones from middle C
VOICES = dict(male=(17.5, -12), female=(15, 0), large_child=(12.5, 2.5))


def has():
    return PACKAGE.is_file() and shutil.which("node") is not None


def draw_tube(rng):
    """Somebody with a throat, a nose and a melody of their own. -> settings for say()"""
    def near(middle, spread):
        return round(middle * float(np.exp(rng.uniform(-spread, spread))), 3)

    voice = str(rng.choice(list(VOICES)))
    length, pitch = VOICES[voice]
    throat = dict(vocal_tract_length=near(length, 0.08),
                  reference_glottal_pitch=round(pitch + rng.uniform(-4, 4), 2),
                  breathiness=round(rng.uniform(0.2, 5), 2), glottal_pulse_tp=near(40, 0.2),
                  global_nose_radius_coef=near(1, 0.15))
    throat.update((f"radius_{i}_coef", near(1, 0.12)) for i in range(1, 9))
    # the two chances of the package's own make no two utterances alike
    model = dict(voice_name=voice, random_intonation=0, intonation_drift=0,
                 notional_pitch=round(rng.uniform(0, 4), 2),
                 pretonic_range=round(rng.uniform(-4, 0), 2),
                 tonic_range=round(rng.uniform(-12, -3), 2))
    return {f"voice_{voice}.txt": throat, "trm_control_model.txt": model}


class _Node:
    """One process of node for all utterances of this process."""

    def __init__(self):
        back, there = os.pipe()
        self.process = subprocess.Popen(
            ["node", Path(__file__).with_suffix(".mjs"), str(there), PACKAGE],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(there,), text=True)
        os.close(there)
        self.back = open(back, "rb")

    def say(self, text, settings):
        self.process.stdin.write(json.dumps(dict(text=text, set=settings)) + "\n")
        self.process.stdin.flush()
        wav = self.back.read(int.from_bytes(self.back.read(4), "little"))
        if not wav:
            raise RuntimeError(f"gnuspeech ended at: {text}")
        x, rate = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)
        return audio.resample(x[:, 0], rate)


@functools.lru_cache(1)
def _node():
    return _Node()


def say(text, tube, stretch):
    """tube: of draw_tube(). -> float32 [n], 24 kHz"""
    model = dict(tube["trm_control_model.txt"], tempo=round(1 / stretch, 3))
    return _node().say(text, {**tube, "trm_control_model.txt": model})
