# SPDX-License-Identifier: MIT
"""Readers of phonemes that the decoder learns from: what they make of a sound must stay the same.

Spectra alone let the formants blur. These readers have heard the corpus, many voices in rooms and
noise, and Parley's own; none of them judges Parley's speech (recogniser.py), that one is trained
apart, on other sounds. One looks more closely at times, one at frequencies.
"""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import mel, training
from .audio import FRAME
from .corpus import LABELS_A_FRAME, Clips, shards
from .voices import PHONES, UNKNOWN

SPECTRA = ((512, 64), (1024, 40))       # of each reader: window in samples, mel bands
HOP = 240                               # samples from one spectrum to the next
WIDTH, DILATIONS = 128, (1, 2, 4, 1, 1)
PIECE, BATCH = 24, 16                   # frames of a piece, pieces of a step
SHARE = 0.04                            # of the decoder's minutes, for each


class Reader(nn.Module):
    def __init__(self, window, bands):
        super().__init__()
        self.register_buffer("window", torch.hann_window(window))
        self.register_buffer("bank", torch.from_numpy(mel.filters(window, bands)))
        widths = (bands, *[WIDTH] * len(DILATIONS))
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 5, dilation=d, padding=2 * d)
                                    for a, b, d in zip(widths, widths[1:], DILATIONS))
        self.out = nn.Linear(WIDTH, len(PHONES))

    def hidden(self, x):
        """float [B, n] -> what each layer makes of it [B, WIDTH, n / HOP]"""
        spectrum = torch.stft(x, len(self.window), HOP, window=self.window,
                              return_complex=True).abs()
        y, out = (self.bank @ spectrum + mel.FLOOR).log()[..., :x.shape[-1] // HOP], []
        for i, layer in enumerate(self.layers):
            z = F.silu(layer(y))
            y = z if i == 0 else y + z
            out.append(y)
        return out

    def forward(self, x):
        """float [B, n] -> phoneme of every 20 ms [B, n / 480, phones]"""
        return self.out(F.avg_pool1d(self.hidden(x)[-1], 2).transpose(1, 2))

    def distance(self, y, x):
        """How differently it hears two sounds [B, n], relative to how it hears x."""
        with torch.no_grad():
            wanted = self.hidden(x)
        return sum((a - b).abs().mean() / b.abs().mean()
                   for a, b in zip(self.hidden(y), wanted)) / len(wanted)


def piece(rng, clips):
    """A random piece of a random clip. -> float32 [n], labels [n / 480]"""
    part = clips[rng.integers(len(clips))]
    fact = part.facts[rng.integers(len(part.facts))]
    n = min(PIECE, fact["frames"])
    at = fact["frame"] + int(rng.integers(fact["frames"] - n + 1))
    return (np.pad(part.sound(at, n), (0, (PIECE - n) * FRAME)),
            np.pad(part.names(at, n), (0, (PIECE - n) * LABELS_A_FRAME)))


class Readers(nn.ModuleList):
    def distance(self, y, x):
        """The mean of theirs."""
        return sum(reader.distance(y, x) for reader in self) / len(self)


def train(data, run, device, minutes, seed):
    """Trains the readers, each for `minutes`, or takes those that are in `run`.
    -> Readers, not to be changed"""
    return Readers(_reader(data, run, device, minutes, seed + i, f"phonetics-{i}", *spectrum)
                   for i, spectrum in enumerate(SPECTRA)).eval().requires_grad_(False)


def _reader(data, run, device, minutes, seed, name, window, bands):
    net, path = Reader(window, bands).to(device), run / f"{name}.pt"
    if not path.exists():
        users = [Clips(data, shard) for shard in shards(data)[:2]]
        work = training.Run(
            dict(net=net), net.parameters(), 2e-3, minutes, warm_steps=50, betas=(0.9, 0.98),
            decay=0.01, device=device, smoothing=0.97, state_path=run / f"{name}.state.pt",
            log_path=run / f"{name}.log", export=lambda: None)
        rng = np.random.default_rng(seed + work.step)
        own = [Clips(data, "model")]
        for _ in work.steps():
            sounds, labels = zip(*[piece(rng, own if i % 2 else users) for i in range(BATCH)])
            want = torch.from_numpy(np.stack(labels)).long().to(device)
            named = net(torch.from_numpy(np.stack(sounds).astype(np.float32)).to(device))
            known = want != UNKNOWN
            loss = F.cross_entropy(named[known], want[known])
            right = (named.argmax(-1) == want)[known & (want > 0)].float().mean()
            work.descend(loss, dict(loss=loss.item(), right=right.item()))
        # not before: one that was interrupted goes on
        training.write_atomically(path, lambda part: torch.save(net.state_dict(), part))
    net.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    return net
