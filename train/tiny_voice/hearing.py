# SPDX-License-Identifier: MIT
"""Step 3: the codec learns to hear anybody.

The lower part of the encoder stays (stem.py); what it makes of every clip is computed once. The
upper part and the codebooks then see all questions of all synthesisers many times over: the first
codebook, and the first ones together, must name the phonemes; a small recurrent network that reads
the codes, and a matrix at the frame after a word, must name the words. Parley's own voice keeps the
latents that the decoder knows.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import codec, phrases, training
from .audio import FRAME_RATE, frame_of
from .corpus import LABELS_A_FRAME, UNHEARD, Clips, shards
from .stem import A_FRAME, Stem, top
from .voices import PHONES, UNKNOWN

SLOTS, LAG = 6, 4               # a frame names six 20 ms slots, four of the frame before it


def feature_path(run, name):
    return Path(run) / "features" / f"{name}.npy"


def compute_features(data, run, device, jobs=2):
    """Runs the stem over every file of the corpus that has no features yet."""
    mimi, _ = codec.load(run, device)
    stem = Stem(mimi, device, run)
    feature_path(run, "x").parent.mkdir(exist_ok=True)
    for name in ["model", *shards(data)]:
        path = feature_path(run, name)
        if path.exists():
            continue
        clips = Clips(data, name)
        frames = sum(fact["frames"] for fact in clips.facts)
        part = path.with_suffix(".part.npy")
        out = np.lib.format.open_memmap(part, "w+", np.float16,
                                        (frames * A_FRAME, stem.channels))

        def work(facts):
            for fact, x in zip(facts, stem.many([clips.sound(f["frame"], f["frames"])
                                                 for f in facts])):
                out[fact["frame"] * A_FRAME:(fact["frame"] + fact["frames"]) * A_FRAME] = x

        order = sorted(clips.facts, key=lambda fact: fact["frames"])
        with ThreadPoolExecutor(jobs if stem.lib else 1) as pool:
            list(pool.map(work, [order[i:i + 64] for i in range(0, len(order), 64)]))
        out.flush()
        part.rename(path)
        print(f"features of {name}: {frames / FRAME_RATE:.0f} s", flush=True)


class Part:
    """One file of the corpus with its features."""

    def __init__(self, data, run, name, vocabulary):
        self.clips = Clips(data, name)
        self.features = np.load(feature_path(run, name), mmap_mode="r")
        self.facts, self.vocabulary = self.clips.facts, vocabulary

    def piece(self, rng, fact, frames):
        """-> features [16 * frames, C], labels [4 * frames], the word that ends in each frame"""
        n = min(frames, fact["frames"])
        skip = int(rng.integers(fact["frames"] - n + 1))
        first = fact["frame"] + skip
        x = np.zeros((frames * A_FRAME, self.features.shape[1]), np.float16)
        x[:n * A_FRAME] = self.features[first * A_FRAME:(first + n) * A_FRAME]
        labels = np.full(frames * LABELS_A_FRAME, UNKNOWN, np.uint8)
        labels[:n * LABELS_A_FRAME] = self.clips.names(first, n)
        words = np.full(frames, UNHEARD)
        if "kind" in fact and fact["words"]:
            words[:n] = 0
            for word, _, end in fact["words"]:
                f = frame_of(end) + 1 - skip
                if 0 <= f < n:
                    words[f] = self.vocabulary.get(word, UNHEARD)
        return x, labels, words


class Feed:
    def __init__(self, data, run, vocabulary):
        self.data, self.run, self.vocabulary = data, run, vocabulary
        self.model = Part(data, run, "model", vocabulary)
        self.parts = {}
        self.look()

    def look(self):
        """Takes in files whose features have been computed since."""
        for name in shards(self.data):
            if name not in self.parts and feature_path(self.run, name).exists():
                self.parts[name] = Part(self.data, self.run, name, self.vocabulary)

    def batch(self, rng, users, models, frames):
        parts = list(self.parts.values())
        out = []
        for i in range(users + models):
            part = parts[rng.integers(len(parts))] if i < users else self.model
            out.append(part.piece(rng, part.facts[rng.integers(len(part.facts))], frames))
        x, labels, words = (np.stack(v) for v in zip(*out))
        return (torch.from_numpy(x), torch.from_numpy(labels).long(),
                torch.from_numpy(words).long())


def slots(labels):
    """[B, 4 T] -> [B, T, SLOTS]: of frame t the slots 4 t - LAG and the five after it"""
    return F.pad(labels, (LAG, SLOTS), value=UNKNOWN).unfold(1, SLOTS, LABELS_A_FRAME)[
        :, :labels.shape[1] // LABELS_A_FRAME]


class Heads(nn.Module):
    """What must be read from the codes; exists only in training."""

    def __init__(self, dim, words):
        super().__init__()

        def phones():
            return nn.Sequential(nn.Linear(dim, 256), nn.ReLU(),
                                 nn.Linear(256, SLOTS * len(PHONES)))

        self.first, self.all = phones(), phones()
        self.reader = nn.GRU(dim, 192, batch_first=True)
        self.words, self.at_once = nn.Linear(192, words + 1), nn.Linear(dim, words + 1)

    def forward(self, first, total):
        """[B, dim, T] each -> phonemes from the first codebook, from all, words, words at once"""
        first, total = first.transpose(1, 2), total.transpose(1, 2)
        shape = (SLOTS, len(PHONES))
        return (self.first(first).unflatten(2, shape), self.all(total).unflatten(2, shape),
                self.words(self.reader(total)[0]), self.at_once(total))


def quantise(mimi, z, levels):
    """-> first codebook's part, first and `levels` others together, commitment"""
    parts, commit = [], 0.0
    for half, n in ((mimi.quantizer.rvq_first, 1), (mimi.quantizer.rvq_rest, levels)):
        p = half.input_proj(z)
        if half.training:
            q, _, penalty, _ = half.vq(p, n_q=n)
        else:                                   # fixed codebooks: no new averages
            with torch.no_grad():
                fixed = half.vq.decode(half.vq.encode(p, n_q=n))
            penalty = (p - fixed).square().mean() / fixed.square().mean()
            q = p + (fixed - p).detach()
        parts.append(half.output_proj(q))
        commit = commit + penalty.mean()
    return parts[0], parts[0] + parts[1], commit


def losses(mimi, old, heads, x, labels, words, models, levels, rare, users_stay, amp):
    """The last `models` pieces are Parley's voice. -> loss, figures"""
    with amp:
        x = x.float().transpose(1, 2)
        z = top(mimi, x).float()
    first, total, commit = quantise(mimi, z, levels)
    with torch.no_grad():
        with amp:
            keep = top(old, x if users_stay else x[-models:]).float()
        decoded = quantise(old, keep[-models:], levels)[1]
    by_first, by_all, *named = heads(first, total)
    want = slots(labels)
    known = want != UNKNOWN
    phone1, phone2 = (F.cross_entropy(p[known], want[known], weight=rare)
                      for p in (by_first, by_all))
    weight = torch.where(words.flatten() > 0, 1.0, 0.1) * (words.flatten() >= 0)
    word, at_once = ((F.cross_entropy(n.flatten(0, 1), words.flatten(), ignore_index=UNHEARD,
                                      reduction="none") * weight).sum() / weight.sum().clamp(min=1)
                     for n in named)
    # Parley's voice stays what the decoder knows; users' voices only as far as users_stay says.
    change = (z[-len(keep):] - keep).square().mean((1, 2)) / keep.square().mean()
    stay, drift = change[-models:].mean(), change[:-models].mean() if users_stay else 0.0
    if mimi.quantizer.training:
        stay = stay + (total[-models:] - decoded).square().mean() / decoded.square().mean()
    loss = phone1 + phone2 + 0.5 * (word + at_once) + 2 * stay + 0.1 * commit + users_stay * drift
    users = slice(0, len(x) - models)
    loud, said = (known & (want > 0))[users], words > 0
    return loss, dict(
        phone1=phone1.item(), phone=phone2.item(), word=word.item(), stay=stay.item(),
        commit=commit.item(),
        right1=(by_first.argmax(-1) == want)[users][loud].float().mean().item(),
        right=(by_all.argmax(-1) == want)[users][loud].float().mean().item(),
        **{name: (n.argmax(-1) == words)[said].float().mean().item()
           for name, n in zip(("words_right", "at_once_right"), named)})


def train(data, run, device, minutes, users, models, frames, rate, seed, keep_codes=False):
    """With keep_codes the codebooks and the codes' meaning stay, for a model that knows them."""
    training.prepare(seed)
    run = Path(run)
    compute_features(data, run, device)
    mimi, config = codec.load(run, device)
    old = copy.deepcopy(mimi).eval()
    vocabulary = phrases.user_vocabulary()
    heads = Heads(config["seanet"]["dimension"], len(vocabulary)).to(device)
    mimi.train()
    if keep_codes:
        mimi.quantizer.eval().requires_grad_(False)
    learning = [*list(mimi.encoder.model)[10:], mimi.encoder_transformer, mimi.downsample,
                mimi.quantizer, heads]
    work = training.Run(
        dict(mimi=mimi, heads=heads, old=old),
        [p for part in learning for p in part.parameters() if p.requires_grad], rate, minutes,
        warm_steps=100, betas=(0.9, 0.98), decay=0.01, device=device, smoothing=0.98,
        state_path=run / "hearing.state.pt", log_path=run / "hearing.log",
        export=lambda: codec.export(mimi, config, run))
    print(f"hearing: {sum(p.numel() for p in work.params)} parameters learn", flush=True)
    rare = torch.ones(len(PHONES), device=device)
    rare[0] = 0.3
    feed = Feed(data, run, vocabulary)
    batches = training.feeder(lambda rng: feed.batch(rng, users, models, frames),
                              seed + work.step, threads=1 if device == "cpu" else 8)
    deep = len(mimi.quantizer.rvq_rest.vq.layers)
    for _ in work.steps():
        if work.step % 100 == 0:
            feed.look()
        levels = 1 if work.step % 2 else deep
        tensors = [v.to(device, non_blocking=True) for v in batches.get()]
        work.descend(*losses(mimi, old, heads, *tensors, models, levels, rare,
                             0.3 if keep_codes else 0.0, training.autocast(device)))

