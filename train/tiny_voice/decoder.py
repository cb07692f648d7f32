# SPDX-License-Identifier: MIT
"""Step 5: the decoder learns to speak what the language model will say; the codes stay.

It gets the codes as the language model will put them one after the other, piece after piece with
silence between, and must make the synthesiser's sound of them: the same spectra, the same samples
(Parley's pitch is locked to the frames, neural.py), and for two readers of phonemes (phonetics.py)
the same sounds. A few questions by others keep it a codec for anybody.

Nine tenths of the decoder's time are above 200 vectors a second. Down there it learns from long
pieces, by what must be readable from these vectors with one matrix (Sketch); above, from windows.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import codec, mel, phonetics, phrases, training
from .audio import FRAME
from .bank import TAIL, Bank
from .corpus import Clips
from .stem import A_FRAME
from .tokens import Encoder

CUT = 4                         # modules of the SEANet decoder up to 200 vectors a second
SLOT = FRAME // A_FRAME         # samples of such a vector
WINDOW = 6                      # frames of a window, after one that only leads up to it

OTHERS = 300                    # questions by others that it may be asked to speak
MATCH = 8.0                     # weight of what the readers of phonemes hear
OTHERS_WEIGHT = 0.1             # of others' sound, several times as far off as Parley's
LOUD = 0.02                     # of a frame in which somebody speaks, at its loudest
QUIET = 0.01                    # of a sound: what is fainter is not compared with itself
SPEECH = 0.93                   # share of the windows that are speech for the most part
AT_ONCE = 0.15                  # share of the pieces that begin in the middle of a reply


class Material:
    """Codes and the sound that they stand for."""

    def __init__(self, data, run, device, seed):
        bank, own = Bank(data, run), Clips(data, "model")
        self.silence = bank.silence
        # Lists and sums are many, of few pieces: drawn as often as sentences and as words.
        kinds = phrases.composed(), {w + "." for w in phrases.WORDS}
        self.replies = [[r for t, r in bank.replies.items() if t in kind] for kind in kinds]
        self.replies.append([r for t, r in bank.replies.items()
                             if not any(t in kind for kind in kinds)])
        self.sound = np.concatenate(
            [np.pad(own.sound(f["frame"], f["frames"]), (0, TAIL * FRAME)) for f in own.facts])
        self.others = self._others(bank, Encoder(run, device), np.random.default_rng(seed))

    def _others(self, bank, encoder, rng):
        """-> [(codes [8, n], sound [n * FRAME])]"""
        part = next(iter(bank.parts.values()))
        facts = [part.facts[i] for i in rng.permutation(len(part.facts))[:OTHERS]]
        spans = [(f["frame"], f["frames"]) for f in facts]
        return [(codes, part.clips.sound(*span))
                for codes, span in zip(encoder.encode_clips(part.features, spans), spans)]

    def own(self, rng, frames):
        """Silence, replies, silence. -> codes [8, frames], sound [frames * FRAME]"""
        at = 0 if rng.random() < AT_ONCE else int(rng.integers(1, frames // 2))
        codes = np.repeat(self.silence[:, None], frames, 1)
        sound = np.zeros(frames * FRAME, np.float32)
        while at < frames - 3:
            some = self.replies[rng.integers(len(self.replies))]
            reply = some[rng.integers(len(some))]
            said = np.concatenate([self.sound[a * FRAME:(a + n) * FRAME] for a, n in reply.spans])
            begin = int(rng.integers(reply.frames - 3)) if at == 0 else 0
            n = min(frames - at, reply.frames - begin)
            codes[:, at:at + n] = reply.codes[:, begin:begin + n]
            sound[at * FRAME:(at + n) * FRAME] = said[begin * FRAME:(begin + n) * FRAME]
            at += n + int(rng.integers(0, 12))
        return codes, sound

    def other(self, rng, frames):
        codes, sound = self.others[rng.integers(len(self.others))]
        n = min(frames, codes.shape[1])
        at = int(rng.integers(codes.shape[1] - n + 1))
        still = np.repeat(self.silence[:, None], frames - n, 1)
        return (np.concatenate([codes[:, at:at + n], still], 1),
                np.pad(sound[at * FRAME:(at + n) * FRAME], (0, (frames - n) * FRAME)))

    def batch(self, rng, own, others, frames):
        """-> codes i64 [B, 8, frames], sound float32 [B, 1, frames * FRAME]"""
        pieces = [self.own(rng, frames) for _ in range(own)]
        codes, sounds = zip(*pieces, *(self.other(rng, frames) for _ in range(others)))
        return (torch.from_numpy(np.stack(codes).astype(np.int64)),
                torch.from_numpy(np.stack(sounds).astype(np.float32))[:, None])


class Slow(nn.Module):
    """The samples of a sound below 2.4 kHz: there the decoder can know where in a period it is."""

    SLOWER, TAPS = 5, 61            # one of so many samples; length of the filter before
    LOUDER = 20                     # brings the samples to about 1

    def __init__(self):
        super().__init__()
        t = torch.arange(self.TAPS) - self.TAPS // 2
        low = torch.sinc(t / self.SLOWER) * torch.hann_window(self.TAPS, periodic=False)
        self.register_buffer("low", (low / low.sum())[None, None])

    def forward(self, x):
        """[B, 1, n] -> [B, 1, n / SLOWER], the higher of them raised"""
        middle = self.TAPS // 2
        slow = F.conv1d(F.pad(x, (middle - self.SLOWER // 2, middle)), self.low,
                        stride=self.SLOWER)[..., :x.shape[-1] // self.SLOWER]
        return self.LOUDER * (slow - 0.7 * F.pad(slow, (1, -1)))


class Sketch(nn.Module):
    """Of each of the 200 vectors a second: its spectrum, and its samples up to 2.4 kHz."""

    SIZE, BANDS = 512, 64           # window of the spectrum, in samples; mel bands

    def __init__(self, channels, slow):
        super().__init__()
        self.slow, self.samples = slow, SLOT // slow.SLOWER
        self.read = nn.Conv1d(channels, self.BANDS + self.samples, 1)
        nn.init.zeros_(self.read.weight)
        self.register_buffer("window", torch.hann_window(self.SIZE))
        self.register_buffer("bank", torch.from_numpy(mel.filters(self.SIZE, self.BANDS)))

    @torch.no_grad()
    def wanted(self, x):
        """[B, 1, n] -> log mel [B, BANDS, n / SLOT], samples [B, SLOT / SLOWER, n / SLOT]"""
        half = self.SIZE // 2
        padded = F.pad(x[:, 0], (half - SLOT // 2, half))
        spectrum = torch.stft(padded, self.SIZE, SLOT, window=self.window, center=False,
                              return_complex=True).abs()
        n = x.shape[-1] // SLOT
        return ((self.bank @ spectrum[..., :n] + mel.FLOOR).log(),
                self.slow(x)[:, 0].unflatten(1, (n, self.samples)).transpose(1, 2))

    def losses(self, h, x):
        """h [B, channels, n / SLOT] of the sound x [B, 1, n] -> mel distance, samples apart"""
        spectrum, samples = self.wanted(x)
        read = self.read(h)
        return ((read[:, :self.BANDS] - spectrum).abs().mean(),
                samples_apart(read[:, self.BANDS:], samples))


def samples_apart(y, x):
    return (y - x).abs().mean() / x.abs().mean().clamp(min=QUIET)


def windows(h, x):
    """A random window of each: [B, channels, 16 T], [B, 1, n] -> the same of 1 + WINDOW frames"""
    parts = []
    for vectors, sound in zip(h, x):
        loud = (sound[0].unflatten(0, (-1, FRAME)).abs().amax(1) > LOUD).float()
        spoken = (loud[1:].unfold(0, WINDOW, 1).mean(1) >= 0.5).nonzero()[:, 0]
        begins = spoken if len(spoken) and torch.rand(()) < SPEECH else torch.arange(
            len(loud) - WINDOW)
        at = int(begins[torch.randint(len(begins), ())])
        end = at + WINDOW + 1
        parts.append((vectors[:, at * A_FRAME:end * A_FRAME], sound[:, at * FRAME:end * FRAME]))
    return tuple(torch.stack(v) for v in zip(*parts))


def sound_losses(y, x, spectra, slow, readers):
    """Of sounds [B, 1, n], without the frame that leads up. -> loss, figures"""
    y, x = y[..., FRAME:], x[..., FRAME:]
    log, linear = spectra(y[:, 0], x[:, 0])
    wave = samples_apart(slow(y), slow(x))
    match = readers.distance(y[:, 0], x[:, 0])
    return (2 * log + linear + wave + MATCH * match,
            dict(mel=log.item(), lin=linear.item(), wave=wave.item(), match=match.item()))


def train(data, run, device, minutes, own, others, windowed, frames, rate, seed):
    """Trains the decoder on `own` pieces of Parley and `others` of others a step; of the last
    `windowed` of them a window is spoken."""
    training.prepare(seed)
    run = Path(run)
    readers = phonetics.train(Path(data), run, device, phonetics.SHARE * minutes, seed)
    material = Material(data, run, device, seed)
    mimi, config = codec.load(run, device)
    mimi.train()
    modules = list(mimi.decoder.model)
    lower, upper = nn.Sequential(*modules[:CUT]), nn.Sequential(*modules[CUT:])
    slow = Slow().to(device)
    sketch = Sketch(config["seanet"]["n_filters"] * 8, slow).to(device)
    parts = (mimi.upsample, mimi.decoder_transformer, mimi.decoder, sketch)
    work = training.Run(
        dict(mimi=mimi, sketch=sketch), [p for part in parts for p in part.parameters()], rate,
        minutes, warm_steps=100, betas=(0.8, 0.99), decay=0.01, device=device, smoothing=0.98,
        state_path=run / "decoder.state.pt", log_path=run / "decoder.log",
        export=lambda: codec.export(mimi, config, run),
        matrices=[p for p in mimi.decoder_transformer.parameters() if p.dim() == 2])
    upper = training.compiled(upper, device)
    spectra, amp = codec.Spectra().to(device), training.autocast(device)
    batches = training.feeder(lambda rng: material.batch(rng, own, others, frames),
                              seed + work.step, threads=1 if device == "cpu" else 8)
    for _ in work.steps():
        codes, x = (t.to(device, non_blocking=True) for t in batches.get())
        with torch.no_grad():
            z = mimi.quantizer.decode(codes)
        with amp:
            (z,) = mimi.decoder_transformer(mimi._to_encoder_framerate(z))
            h = lower(z)
        spectrum, samples = sketch.losses(h[:own].float(), x[:own])
        h, x = windows(h[-windowed:], x[-windowed:])
        with amp:
            y = upper(h).float()
        loss, facts = sound_losses(y[:-others], x[:-others], spectra, slow, readers)
        theirs, _ = sound_losses(y[-others:], x[-others:], spectra, slow, readers)
        work.descend(loss + OTHERS_WEIGHT * theirs + 2 * spectrum + samples,
                     dict(facts, sketch=spectrum.item(), slow=samples.item()))
    figures = codec.measure(data, run, device)
    (run / "decoder.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(figures, flush=True)
