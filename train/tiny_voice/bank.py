# SPDX-License-Identifier: MIT
"""Everything a conversation is made of.

What the user's microphone hears is kept as the stem made it of the sound (stem.py), so that the
upper encoder listens to whole conversations as it will to a stream, with all that came before.
What Parley says is kept as codes; before there are any (`codes` False), only in writing.
"""

import json
from pathlib import Path

import numpy as np
import sentencepiece

from . import phrases, rooms
from .audio import FRAME_RATE, frame_of
from .corpus import LABELS_A_FRAME, Clips, shards
from .stem import A_FRAME

TAIL = 3                # frames of each reply's codes after its last sound
PACE = 0.12             # most that a question is said faster or slower than it was, in nepers
PACED = 0.5             # share of the questions of which it is
VECTORS_S = FRAME_RATE * A_FRAME


def feature_path(run, name):
    return Path(run) / "features" / f"{name}.npy"


def on_frames(text, events):
    """-> [(word with its punctuation, frame where it begins)]

    The times of the words come from the text: the synthesiser joins some small words to their
    neighbour.
    """
    out, events, frame = [], [e for e in events if e[0]], 0
    for word in text.split():
        if events and word.strip(".,?").startswith(events[0][0]):
            frame = frame_of(events.pop(0)[1])
        else:
            frame += 2
        out.append((word, frame))
    return out


class Part:
    """One file of the corpus with its features f16 [16 a frame, channels]."""

    def __init__(self, data, run, name):
        self.clips = Clips(data, name)
        self.facts = self.clips.facts
        self.features = np.load(feature_path(run, name), mmap_mode="r")

    def background(self, fact):
        """The name of what is behind a question: loud voices by how loud they are before it."""
        if fact["noise"] == "voices":
            before = self.clips.sound(fact["frame"], int(fact["start"] * FRAME_RATE))
            level = 10 * np.log10(np.mean(np.square(before)) + 1e-12)
            for name, (low, high) in rooms.CROWDS.items():
                if low <= level < high:
                    return name
        return fact["noise"]

    def cut(self, first, frames, vectors):
        """-> of the file's `frames` frames from `first` on these vectors, and the label of each"""
        names = self.clips.names(first, frames)
        return (self.features[first * A_FRAME:(first + frames) * A_FRAME][vectors],
                names[vectors * LABELS_A_FRAME // A_FRAME])


class Bank:
    def __init__(self, data, run, world="whole", codes=True):
        self.world, self.data, self.run = world, Path(data), Path(run)
        self.tokenizer = sentencepiece.SentencePieceProcessor(str(self.run / "tokenizer.model"))
        self.vocabulary = phrases.user_vocabulary()
        self.noise = {n: self._open(f"noise_{n}") for n in (*rooms.BACKGROUNDS, *rooms.CROWDS)}
        self.loud = {n: self._open(f"loud_{n}") for n in rooms.LOUD}
        self.silence, self.echo, spoken, at = None, None, None, 0
        if codes:
            arrays = np.load(self.run / "codes.npz")
            self.silence, spoken = (arrays[n].astype(np.int64) for n in ("silence", "model"))
            self.echo = [self._open(f"echo_{i}") for i in range(int(arrays["echoes"]))]
        self.replies = {}       # text: Reply
        for fact in json.loads((self.data / "model.json").read_text()):
            n = fact["frames"] + TAIL
            words = [(self.tokenizer.encode(w), f)
                     for w, f in on_frames(fact["text"], fact["words"])]
            self.replies[fact["text"]] = Reply([(at, n)], words, spoken)
            at += n
        for text, parts in phrases.composed().items():
            self.replies[text] = self._composed(parts, spoken)
        self.clips = {}         # background: kind: [clip]
        self.parts = {}         # name: Part
        self.look()

    def _open(self, name):
        return np.load(feature_path(self.run, name), mmap_mode="r")

    def _composed(self, parts, spoken):
        """A reply of several pieces, each always alike, see phrases.sum_pieces."""
        spans, words, frame = [], [], 0
        for i, (piece, written) in enumerate(parts):
            (first, n), = self.replies[piece].spans
            n -= TAIL if i < len(parts) - 1 else 0
            tokens = [self.tokenizer.encode(w) for w in written.split()]
            words += [(t, frame + 2 * k) for k, t in enumerate(tokens)]
            spans.append((first, n))
            frame += n
        return Reply(spans, words, spoken)

    def look(self):
        """Takes in questions whose features have been computed since."""
        for name in shards(self.data):
            if name in self.parts or not feature_path(self.run, name).exists():
                continue
            part = self.parts[name] = Part(self.data, self.run, name)
            for fact in part.facts:
                clip = dict(fact, part=name, noise=part.background(fact))
                if self.world == "small" and not phrases.is_small(
                        clip["kind"], clip["text"], clip["reply"]):
                    clip.update(kind="beyond", reply=phrases.AGAIN)
                self.clips.setdefault(clip["noise"], {}).setdefault(clip["kind"], []).append(clip)

    def sound_of(self, view, begin, n):
        """n frames of a view from its frame `begin`. -> features [16 n, channels], labels [4 n]"""
        clip = view["clip"]
        vectors = np.arange(begin * A_FRAME, (begin + n) * A_FRAME)
        vectors = (view["late"] + view["pace"] * vectors).astype(int)
        sound, names = self.parts[clip["part"]].cut(clip["frame"], clip["frames"], vectors)
        return sound, names[::A_FRAME // LABELS_A_FRAME]


def view_of(clip, rng):
    """The clip as it is heard once: where in a frame it begins is drawn anew, and often the pace.
    -> frames, start, end and words of what is heard, for Bank.sound_of"""
    late = int(rng.integers(A_FRAME))
    pace = float(np.exp(rng.uniform(-PACE, PACE))) if rng.random() < PACED else 1.0

    def heard_at(second):
        return max(0.0, (second * VECTORS_S - late) / pace / VECTORS_S)

    return dict(clip=clip, late=late, pace=pace,
                frames=int((clip["frames"] * A_FRAME - late) / pace) // A_FRAME,
                start=heard_at(clip["start"]), end=heard_at(clip["end"]),
                words=[(word, heard_at(end)) for word, _, end in clip["words"]])


class Reply:
    """What Parley says: where its pieces lie in the recordings of its voice, and its words."""

    def __init__(self, spans, words, spoken):
        self.spans, self.words = spans, words           # [(first frame, frames)], [(tokens, frame)]
        self.frames = sum(n for _, n in spans)
        self.codes = None                               # i64 [8, frames]
        if spoken is not None:
            self.codes = np.concatenate([spoken[:, at:at + n] for at, n in spans], 1)

    def echo(self, features, frames):
        """The first `frames` of it in recordings of its voice by a microphone."""
        parts = [features[at * A_FRAME:(at + n) * A_FRAME] for at, n in self.spans]
        return np.concatenate(parts)[:frames * A_FRAME]
