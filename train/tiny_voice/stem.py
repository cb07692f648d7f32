# SPDX-License-Identifier: MIT
"""The lower part of the encoder, up to 200 vectors a second: fixed while the upper part learns.

Nine tenths of the encoder's time are below the point where it is cut. What comes out there is
computed once for every clip and kept, so that the part which learns to tell phonemes apart sees
many times more speech in the same time. On a GPU torch computes it, on a CPU stem.c, which is
compiled when first needed.
"""

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import torch

from .audio import FRAME

CUT = 10                        # modules of the SEANet encoder that belong to the stem
STRIDES = (4, 5, 6)             # of its stages
A_FRAME = FRAME // 120          # vectors a frame


def build(folder):
    """Compiles stem.c into `folder`, if that has not been done. -> the library"""
    source, library = Path(__file__).with_name("stem.c"), Path(folder) / "stem.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["cc", "-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o",
                        str(library), str(source), "-lmvec", "-lm"], check=True)
    lib = ctypes.CDLL(str(library))
    floats, ints = (np.ctypeslib.ndpointer(t, flags="C") for t in (np.float32, np.int32))
    lib.stem_run.argtypes = [floats, ctypes.c_int, floats, ctypes.c_int, ctypes.c_int, ints, floats]
    return lib


def _packed(model):
    """Weights of the convolutions in the order of stem.c."""
    blocks = [m for part in list(model)[:CUT] for m in part.modules()
              if isinstance(m, torch.nn.Conv1d)]
    parts = []
    for conv in blocks:
        parts += [conv.weight.detach().permute(2, 1, 0).reshape(-1), conv.bias.detach()]
    return np.ascontiguousarray(torch.cat(parts).float().cpu().numpy())


class Stem:
    """pcm float32 [n frames * 1920] -> float32 [16 n, channels], from a fresh state."""

    def __init__(self, mimi, device, folder):
        self.model, self.device = mimi.encoder.model, device
        self.filters = self.model[0].conv.conv.out_channels
        self.channels = self.filters * 8
        self.lib = build(folder) if torch.device(device).type == "cpu" else None
        self.weights = _packed(self.model)

    def __call__(self, pcm):
        pcm = np.ascontiguousarray(pcm, np.float32)
        if self.lib is None:
            return self.batch(pcm[None])[0]
        frames = len(pcm) // FRAME
        out = np.empty((frames * A_FRAME, self.channels), np.float32)
        if self.lib.stem_run(pcm, frames, self.weights, self.filters, len(STRIDES),
                             np.array(STRIDES, np.int32), out) != 0:
            raise MemoryError("stem.c")
        return out

    def many(self, sounds):
        """The same for each of several sounds; on a GPU at once."""
        if self.lib is not None:
            return [self(pcm) for pcm in sounds]
        pcm = np.zeros((len(sounds), max(map(len, sounds))), np.float32)
        for row, x in zip(pcm, sounds):
            row[:len(x)] = x
        return [out[:len(x) // FRAME * A_FRAME] for out, x in zip(self.batch(pcm), sounds)]

    @torch.no_grad()
    def batch(self, pcm):
        """The same by torch: [B, n] -> [B, 16 n / 1920, channels]"""
        x = torch.from_numpy(np.ascontiguousarray(pcm, np.float32)).to(self.device)[:, None]
        for module in list(self.model)[:CUT]:
            x = module(x)
        return x.transpose(1, 2).float().cpu().numpy()


def top(mimi, x):
    """[B, channels, 16 T] from the stem -> latent [B, dim, T], before the quantiser"""
    for module in list(mimi.encoder.model)[CUT:]:
        x = module(x)
    (x,) = mimi.encoder_transformer(x)
    return mimi._to_framerate(x)
