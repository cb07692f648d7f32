# SPDX-License-Identifier: MIT
"""The files that speech.py and tokens.py wrote, read again."""

import json
from pathlib import Path

import numpy as np

from . import audio
from .audio import FRAME

LABELS_A_FRAME = FRAME // audio.LABEL


class Clips:
    """One of the two halves of the corpus: "user" or "model"."""

    def __init__(self, data, name):
        folder = Path(data)
        self.pcm = np.load(folder / f"{name}.npy", mmap_mode="r")           # i16 [n]
        self.labels = np.load(folder / f"{name}_phones.npy", mmap_mode="r")  # u8 [n / 480]
        self.facts = json.loads((folder / f"{name}.json").read_text())

    def sound(self, first, frames):
        """Whole frames of the corpus as float32 [frames * FRAME]."""
        return audio.to_float(self.pcm[first * FRAME:(first + frames) * FRAME])

    def cut(self, first, frames):
        """-> sound, labels [4 * frames]"""
        n = LABELS_A_FRAME
        return self.sound(first, frames), self.labels[first * n:(first + frames) * n]

    def split(self, name):
        return [fact for fact in self.facts if fact["split"] == name]
