# SPDX-License-Identifier: MIT
"""Two-channel conversations put together from codec tokens while training.

What the user's microphone hears, what Parley says, and Parley's inner monologue. A reply begins
REACT frames after the user's last sound; a word stands on the frame where it begins. Whoever speaks
while Parley speaks silences it, and is answered unless it was "stop".
"""

import json
from pathlib import Path

import numpy as np
import sentencepiece

from . import phrases, rooms
from .audio import frame_of
from .corpus import UNHEARD
from .tokens import ECHOES, END_OF_PADDING, PAD, TAIL

REACT = 5               # frames from the user's last sound to the reply
GREET = 8               # frame of the greeting when nobody has spoken
YIELD = 5               # frames of the user's speech after which Parley falls silent
DRILLED = 12            # words of an answer that a drill writes
ALOUD = 0.3             # share of the sums that teach arithmetic and not listening
NEAR = 0.25             # share of the conversations in which the microphone hears the loudspeaker
NOBODY = 0.08           # share of the conversations in which there is only noise
SHARE = dict(sum=0.40, faq=0.24, manners=0.05, count=0.07, list=0.03, say=0.13, stop=0.02, ood=0.08,
             beyond=0.05)               # "beyond": a question outside the small world
INTERRUPT = dict(sum=0.15, faq=0.25, manners=0.1, count=0.75, list=0.75, say=0.0, stop=0.0,
                 ood=0.25, beyond=0.25)


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


class Bank:
    """Everything a conversation is made of, as tokens."""

    def __init__(self, data, run, world="whole"):
        self.world = world
        self.data, self.codes = Path(data), Path(run) / "codes"
        arrays = np.load(self.codes / "base.npz")
        self.silence = arrays["silence"].astype(np.int64)
        self.noise = {n: arrays[f"noise_{n}"].astype(np.int64) for n in rooms.BACKGROUNDS}
        self.loud = {n: arrays[f"loud_{n}"].astype(np.int64) for n in rooms.LOUD}
        self.tokenizer = sentencepiece.SentencePieceProcessor(str(Path(run) / "tokenizer.model"))
        self.vocabulary = phrases.user_vocabulary()
        self.replies = {}       # text: codes [8, n], echoes [ECHOES, 8, n], [(tokens, frame)]
        self._add_spoken(json.loads((self.data / "model.json").read_text()),
                         arrays["model"].astype(np.int64), arrays["echo"].astype(np.int64))
        for text, parts in phrases.composed().items():
            self._add_composed(text, parts)
        self.clips = {}         # background: kind: [clip]
        self.seen = set()
        self.look()

    def look(self):
        """Takes in questions that have been tokenised since."""
        for path in sorted(self.codes.glob("user-*.npz")):
            if path.name in self.seen:
                continue
            self.seen.add(path.name)
            arrays = np.load(path)
            codes = arrays["codes"]
            facts = json.loads((self.data / f"{path.stem}.json").read_text())
            for fact, column in zip(facts, arrays["column"].tolist()):
                clip = dict(fact, codes=codes[:, column:column + fact["frames"]])
                if self.world == "small" and not phrases.is_small(
                        clip["kind"], clip["text"], clip["reply"]):
                    clip.update(kind="beyond", reply=phrases.AGAIN)
                self.clips.setdefault(clip["noise"], {}).setdefault(clip["kind"], []).append(clip)

    def _add_spoken(self, facts, codes, echo):
        at = 0
        for fact in facts:
            n = fact["frames"] + TAIL
            words = [(self.tokenizer.encode(w), f)
                     for w, f in on_frames(fact["text"], fact["words"])]
            self.replies[fact["text"]] = codes[:, at:at + n], echo[:, :, at:at + n], words
            at += n

    def _add_composed(self, text, parts):
        """A reply of several pieces, each always alike, see phrases.sum_pieces."""
        codes, echoes, words, frame = [], [], [], 0
        for i, (piece, written) in enumerate(parts):
            c, e, _ = self.replies[piece]
            if i < len(parts) - 1:
                c, e = c[:, :-TAIL], e[:, :, :-TAIL]
            tokens = [self.tokenizer.encode(w) for w in written.split()]
            words += [(t, frame + 2 * k) for k, t in enumerate(tokens)]
            codes.append(c)
            echoes.append(e)
            frame += c.shape[1]
        self.replies[text] = np.concatenate(codes, 1), np.concatenate(echoes, 2), words


class Talk:
    """One conversation of `frames` frames."""

    def __init__(self, bank, rng, frames, background, near=None):
        at = rng.integers(background.shape[1] - frames)
        self.bank, self.frames = bank, frames
        self.user = background[:, at:at + frames].copy()                # [8, frames]
        self.model = np.repeat(bank.silence[:, None], frames, 1)        # [8, frames]
        self.text = np.full(frames, PAD)
        self.heard = np.zeros(frames, np.int64)         # the user's word that ended just before
        self.speaks = np.zeros(frames, bool)            # Parley does
        self.fair = np.ones(frames, bool)               # this frame's text can be known
        self.near, self.delay = near, int(rng.integers(1, 5))   # which echo, how late; None: none
        self.busy = -1                                  # the user's channel holds speech until here

    def ask(self, clip, at):
        """The user's clip with its first sound in frame `at`. -> frame of its last sound"""
        first, last = frame_of(clip["start"]), frame_of(clip["end"])
        begin = max(0, first - at, min(first, self.busy - at + first))
        place = at - (first - begin)
        n = min(clip["frames"] - begin, self.frames - place)
        if n > 0:
            self.user[:, place:place + n] = clip["codes"][:, begin:begin + n]
            if not clip["words"]:
                self.heard[place:place + n] = UNHEARD
            for word, _, end in clip["words"]:
                f = at + frame_of(end) - first + 1
                if word and f < self.frames:
                    self.heard[f] = self.bank.vocabulary.get(word, 0)
        self.busy = at + last - first + 1
        return at + last - first

    def reply(self, text, at, until=None):
        """Parley says `text` from frame `at`, cut off at frame `until`. -> first frame after it"""
        codes, echoes, words = self.bank.replies[text]
        end = min(self.frames, at + codes.shape[1], until or self.frames)
        if end > at:
            self.model[:, at:end] = codes[:, :end - at]
            self.speaks[at:end] = True
            if self.near is not None:
                place = at + self.delay
                n = min(end - at, self.frames - place)
                if n > 0:
                    self.user[:, place:place + n] = echoes[self.near, :, :n]
        free = at
        for tokens, f in words:
            f = max(free, at + f)
            if 0 < f < end and self.text[f - 1] == PAD:
                self.text[f - 1] = END_OF_PADDING
            for token in tokens:
                if f < end:
                    self.text[f] = token
                f += 1
            free = f
        return max(end, at)

    def length(self, text):
        return self.bank.replies[text][0].shape[1]


def another_sum(bank, rng, clip):
    """Of twelve random sums the one that sounds most like the question."""
    some = [phrases.sum_reply(phrases.draw_sum(rng)) for _ in range(12)]
    return max(some, key=lambda s: len(set(s.split()) & set(clip["text"].split())))


def draw_background(bank, rng):
    """-> its name; as often as in the corpus"""
    names = list(bank.clips)
    share = np.array([rooms.BACKGROUNDS[n][1] for n in names])
    return str(rng.choice(names, p=share / share.sum()))


def begin(bank, rng, frames):
    """-> Talk with its background, clips that fit it by kind (None: nobody speaks)"""
    if rng.random() < NOBODY:
        name = str(rng.choice(list(bank.loud)))
        return Talk(bank, rng, frames, bank.loud[name]), None
    near = int(rng.integers(ECHOES)) if rng.random() < NEAR else None
    name = draw_background(bank, rng)
    return Talk(bank, rng, frames, bank.noise[name], near), bank.clips[name]


def draw(clips, rng, shares=SHARE):
    """clips: kind: [clip] -> one of them, its kind by `shares`"""
    kinds = [k for k in shares if clips.get(k)]
    if not kinds:
        shares, kinds = SHARE, list(clips)
    share = np.array([shares[k] for k in kinds])
    kind = str(rng.choice(kinds, p=share / share.sum()))
    return clips[kind][rng.integers(len(clips[kind]))]


def talk(bank, rng, frames=250):
    """A random conversation. -> Talk"""
    t, clips = begin(bank, rng, frames)
    if clips is None or rng.random() < 0.4:
        into = rng.random() < 0.15 and clips is not None        # somebody speaks into the greeting
        at = GREET + int(rng.integers(2, 14))
        end = t.reply(phrases.GREETING, GREET, until=at + YIELD if into else None)
        at = at if into else end + int(rng.integers(4, 30))
        if clips is None or rng.random() < 0.08:
            return t
    else:
        at = int(rng.integers(0, GREET - 2))
    clip, interrupts = draw(clips, rng), False
    while at < frames - 10:
        start = t.ask(clip, at) + REACT
        if interrupts and clip["kind"] == "stop":
            at, clip, interrupts = start + int(rng.integers(3, 40)), draw(clips, rng), False
            continue
        length = t.length(clip["reply"])
        if rng.random() < INTERRUPT[clip["kind"]] and start < frames:
            at = start + int(rng.integers(3, max(4, length - 4)))
            t.reply(clip["reply"], start, until=at + YIELD)
            stops = rng.random() < (0.5 if length > 40 else 0.15)
            clip, interrupts = draw(clips, rng, dict(stop=1) if stops else SHARE), True
            continue
        at = answer(t, bank, rng, clip, start)
        at += int(rng.integers(*((3, 25) if rng.random() < 0.88 else (25, 120))))
        clip, interrupts = draw(clips, rng), False
    return t


def drill(bank, rng, frames=250):
    """Question upon question, each answered in writing alone and at once: more to listen to in
    the same time than in a conversation. -> Talk"""
    name = draw_background(bank, rng)
    t = Talk(bank, rng, frames, bank.noise[name])
    at = int(rng.integers(2, 10))
    while at < frames - 10:
        clip = draw(bank.clips[name], rng)
        at = t.ask(clip, at) + REACT
        words = [token for tokens, _ in bank.replies[clip["reply"]][2] for token in tokens]
        words = [END_OF_PADDING, *words[:DRILLED]][:max(0, frames - at + 1)]
        t.text[at - 1:at - 1 + len(words)] = words
        at += len(words) + int(rng.integers(2, 8))
    return t


def answer(t, bank, rng, clip, start):
    """The right reply from frame `start`; to some sums another sum than was asked: there only the
    result can be known, from its own words. -> first frame after it"""
    if clip["kind"] != "sum" or rng.random() >= ALOUD:
        return t.reply(clip["reply"], start)
    aloud = another_sum(bank, rng, clip)
    end = t.reply(aloud, start)
    t.fair[start - 1:start + bank.replies[aloud][2][3][1] - 1] = False
    return end


def batch(bank, rng, size, frames, make=talk):
    """-> codes [B, 17, T] (text, Parley, user), heard [B, T], speaks [B, T], fair [B, T]"""
    talks = [make(bank, rng, frames) for _ in range(size)]
    return (np.stack([np.concatenate([t.text[None], t.model, t.user]) for t in talks]),
            np.stack([t.heard for t in talks]), np.stack([t.speaks for t in talks]),
            np.stack([t.fair for t in talks]))
