# SPDX-License-Identifier: MIT
"""Step 8: a recogniser of phonemes, to read Parley's speech back. It has no part in the model.

It learns from clean synthetic speech alone: replies and sentences by Parley's own synthesiser voice
and by others, never through the codec. The score of a sound is the share of its phonemes that are
found in order; what counts is Parley's score in the share of the synthesiser's own.
"""

import multiprocessing
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import audio, espeak, mel, phrases, speech, training, voices
from .audio import LABEL, RATE
from .voices import PHONES

CLIPS = 3000
VOICES = ["en-us+m1", "en-us+m3", "en-us+f2", "en-us+m7", "en-gb-x-rp"]


class Net(nn.Module):
    """log mel [B, 40, T], 20 ms -> phoneme of every 20 ms, 0: none new [B, T, phones]"""

    def __init__(self):
        super().__init__()
        widths, dilations = (40, 128, 128, 128, 128), (1, 1, 2, 4)
        self.layers = nn.ModuleList(
            nn.Conv1d(a, b, 5, dilation=d, padding=2 * d)
            for a, b, d in zip(widths, widths[1:], dilations))
        self.out = nn.Linear(128, len(PHONES))

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            y = F.relu(layer(x))
            x = y if i == 0 else x + y
        return self.out(x.transpose(1, 2))


def features(x):
    """float32 [n] -> [40, n / 480]"""
    return mel.log_mel(x)[:, :len(x) // LABEL].astype(np.float32)


def _clip(seed):
    """A sentence in a clean voice. -> features, its phonemes in order"""
    rng = np.random.default_rng([seed, 80])
    texts = phrases.spoken()
    text = texts[rng.integers(len(texts))] if rng.random() < 0.5 else phrases.ask(
        rng, str(rng.choice(["ood", "faq", "sum", "say"])))[0]
    if seed % 2 == 0:
        said = speech.by_parley(text)
    else:
        said = voices.say(text, dict(program="espeak", voice=str(rng.choice(VOICES)), fresh=False,
                                     rate=int(rng.integers(130, 180)), pitch=45, range=35, size=1))
    x = np.pad(said.pcm * rng.uniform(0.3, 1), (RATE // 5, RATE // 5))
    return features(x), [phone for phone, _ in said.phones if phone > 0]


def train(run, device, jobs, minutes, batch):
    training.prepare(0)
    net = Net().to(device)
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        clips = pool.map(_clip, range(CLIPS), chunksize=25)
    work = training.Run(
        dict(net=net), net.parameters(), 2e-3, minutes, warm_steps=50, betas=(0.9, 0.98),
        decay=0.01, device=device, smoothing=0.97, state_path=run / "recogniser.state.pt",
        log_path=run / "recogniser.log",
        export=lambda: training.write_atomically(
            run / "recogniser.pt", lambda path: torch.save(net.state_dict(), path)))
    rng = np.random.default_rng(work.step)
    for _ in work.steps():
        some = [clips[i] for i in rng.integers(len(clips), size=batch)]
        x = np.full((batch, 40, max(f.shape[1] for f, _ in some)), np.log(mel.FLOOR), np.float32)
        for row, (f, _) in zip(x, some):
            row[:, :f.shape[1]] = f
        named = net(torch.from_numpy(x).to(device)).log_softmax(-1).transpose(0, 1)
        loss = F.ctc_loss(named, torch.tensor(sum((names for _, names in some), [])),
                          torch.full((batch,), x.shape[2]),
                          torch.tensor([len(names) for _, names in some]))
        work.descend(loss, dict(loss=loss.item()))


def _distance(a, b):
    """Edits between two lists."""
    row = np.arange(len(b) + 1)
    for i, x in enumerate(a):
        diagonal, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            diagonal, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, diagonal + (x != y))
    return int(row[-1])


@torch.no_grad()
def read(net, x):
    """float32 [n] -> phonemes in order"""
    names = net(torch.from_numpy(features(x))[None])[0].argmax(-1).numpy()
    return [int(n) for n in names[np.diff(names, prepend=-1) != 0] if n > 0]


def score(path, spoken):
    """spoken: {reply: WAV file in which Parley says it} -> how much of it is read back, in per cent

    Beside it the same replies as the synthesiser speaks them.
    """
    net = Net()
    net.load_state_dict(torch.load(Path(path), map_location="cpu", weights_only=True))
    edits, total = dict(synthesiser=0, parley=0), 0
    for text, wav in spoken.items():
        said = espeak.say(text)
        want = [p for p in (voices.espeak_phone(n) for n, _ in said.phones) if p > 0]
        total += len(want)
        clean = audio.to_float(speech.reply_clip(text)[0])
        for who, x in (("synthesiser", clean), ("parley", audio.read_wav(wav))):
            edits[who] += _distance(want, read(net, np.pad(x, (RATE // 2, RATE // 2))))
    scores = {who: round(100 * (1 - n / max(1, total)), 1) for who, n in edits.items()}
    share = round(100 * scores["parley"] / max(1, scores["synthesiser"]), 1)
    return dict(n=len(spoken), share=share, **scores)
