# SPDX-License-Identifier: MIT
"""How models/tiny-voice is made: a spoken conversation in two small files, from text that we wrote.

Sound is mono float32 at 24 kHz unless said; a frame is 1920 samples, 80 ms; `codes` are codec
tokens [codebook, frame].
"""
