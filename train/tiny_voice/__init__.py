# SPDX-License-Identifier: MIT
"""How models/tiny-voice is made: a spoken conversation in two small files, from text that we wrote.

Sound is mono float32 at 24 kHz unless said; a frame is 1920 samples, 80 ms; `codes` are codec
tokens [codebook, frame].
"""

import os
from importlib.util import find_spec

MISSING = [name for name in ("numpy", "scipy", "soundfile") if not find_spec(name)]
if MISSING:                     # what every program here needs
    raise SystemExit(f"this Python has no {', '.join(MISSING)}: see train/README.md")
# The package moshi reads it when imported: else it compiles small pieces of itself, and ends where
# the machine has no C++ compiler or no Python.h.
os.environ.setdefault("NO_TORCH_COMPILE", "1")
