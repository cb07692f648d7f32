# SPDX-License-Identifier: MIT
"""The files that speech.py, hearing.py and tokens.py wrote, read again."""

import json
from pathlib import Path

import numpy as np

from . import audio
from .audio import FRAME

LABELS_A_FRAME = FRAME // audio.LABEL
UNHEARD = -100          # class of a word, in training, where the user's words are not known


def shards(data):
    """Names of the files of questions that are whole, in order."""
    return sorted(p.stem for p in Path(data).glob("user-[0-9][0-9][0-9].json"))


class Clips:
    """One file of the corpus: "model" or one of shards()."""

    def __init__(self, data, name):
        folder = Path(data)
        self.name = name
        self.pcm = np.load(folder / f"{name}.npy", mmap_mode="r")           # i16 [n]
        self.labels = np.load(folder / f"{name}_phones.npy", mmap_mode="r")  # u8 [n / 480]
        self.facts = json.loads((folder / f"{name}.json").read_text())

    def sound(self, first, frames):
        """Whole frames of the corpus as float32 [frames * FRAME]."""
        return audio.to_float(self.pcm[first * FRAME:(first + frames) * FRAME])

    def cut(self, first, frames):
        """-> sound, labels [4 * frames]"""
        return self.sound(first, frames), self.names(first, frames)

    def names(self, first, frames):
        """Labels of whole frames."""
        n = LABELS_A_FRAME
        return self.labels[first * n:(first + frames) * n]
