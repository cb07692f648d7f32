# SPDX-License-Identifier: MIT
"""Two-channel conversations put together from codec tokens while training.

What the user's microphone hears, what Parley says, and Parley's inner monologue. A reply begins
REACT frames after the user's last sound; a word stands on the frame where it begins.
"""

import json
from pathlib import Path

import numpy as np
import sentencepiece

from . import phrases
from .audio import frame_of
from .tokens import END_OF_PADDING, PAD, TAIL

REACT = 5               # frames from the user's last sound to the reply
GREET = 8               # frame of the greeting when nobody has spoken
OBEY = 2                # frames from the end of "stop" to silence
ALOUD = 0.3             # share of the sums that teach arithmetic and not listening
UNHEARD = -100          # class of the listening head where the user's words are not known
SHARE = dict(sum=0.48, faq=0.26, count=0.10, say=0.10, ood=0.06)


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

    def __init__(self, data, run):
        data = Path(data)
        arrays = np.load(data / "codes.npz")
        self.silence, self.noise, self.model, self.user = (
            arrays[k].astype(np.int64) for k in ("silence", "noise", "model", "user"))
        self.tokenizer = sentencepiece.SentencePieceProcessor(str(Path(run) / "tokenizer.model"))
        self.vocabulary = phrases.user_vocabulary()
        self.replies = {}               # text: (codes [8, n], [(text tokens of a word, its frame)])
        self._add_spoken(json.loads((data / "model.json").read_text()))
        for s in phrases.SUMS:
            self._add_sum(s)
        facts = json.loads((data / "user.json").read_text())
        self.clips = {}                 # background: kind: [clip]
        for i, first, last, column in arrays["table"].tolist():
            clip = dict(facts[i], first=first, last=last, column=column)
            self.clips.setdefault(clip["noise"], {}).setdefault(clip["kind"], []).append(clip)

    def _add_spoken(self, facts):
        at = 0
        for fact in facts:
            n = fact["frames"] + TAIL
            words = [(self.tokenizer.encode(w), f)
                     for w, f in on_frames(fact["text"], fact["words"])]
            self.replies[fact["text"]] = self.model[:, at:at + n], words
            at += n

    def _add_sum(self, s):
        """A sum is put together from its words, see phrases.sum_pieces."""
        pieces = phrases.sum_pieces(s)
        written = phrases.sum_reply(s).split()[:4] + [pieces[-1]]
        codes, words, frame = [], [], 0
        for piece, word in zip(pieces, written):
            c = self.replies[piece][0]
            c = c if piece is pieces[-1] else c[:, :-TAIL]
            words.append((self.tokenizer.encode(word), frame))
            codes.append(c)
            frame += c.shape[1]
        self.replies[phrases.sum_reply(s)] = np.concatenate(codes, 1), words


class Talk:
    """One conversation of `frames` frames."""

    def __init__(self, bank, rng, frames, background):
        at = rng.integers(bank.noise.shape[2] - frames)
        self.bank, self.frames = bank, frames
        self.user = bank.noise[background][:, at:at + frames].copy()    # [8, frames]
        self.model = np.repeat(bank.silence[:, None], frames, 1)        # [8, frames]
        self.text = np.full(frames, PAD)
        self.heard = np.zeros(frames, np.int64)         # the user's word that ended just before
        self.speaks = np.zeros(frames, bool)            # Parley does
        self.fair = np.ones(frames, bool)               # this frame's text can be known

    def ask(self, clip, at):
        """The user's clip with its first sound in frame `at`. -> frame of its last sound"""
        first, last = frame_of(clip["start"]), frame_of(clip["end"])
        begin = max(clip["first"], first - 4, first - at)
        place = at - (first - begin)
        n = min(clip["last"] - begin, self.frames - place)
        if n > 0:
            column = clip["column"] + begin - clip["first"]
            self.user[:, place:place + n] = self.bank.user[:, column:column + n]
            if not clip["words"]:
                self.heard[place:place + n] = UNHEARD
            for word, _, end in clip["words"]:
                f = at + frame_of(end) - first + 1
                if word and f < self.frames:
                    self.heard[f] = self.bank.vocabulary.get(word, 0)
        return at + last - first

    def reply(self, text, at, until=None):
        """Parley says `text` from frame `at`, cut off at frame `until`. -> first frame after it"""
        codes, words = self.bank.replies[text]
        end = min(self.frames, at + codes.shape[1], until or self.frames)
        if end > at:
            self.model[:, at:end] = codes[:, :end - at]
            self.speaks[at:end] = True
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
    some = [phrases.sum_reply(phrases.SUMS[i]) for i in rng.integers(len(phrases.SUMS), size=12)]
    return max(some, key=lambda s: len(set(s.split()) & set(clip["text"].split())))


def talk(bank, rng, frames=250):
    """A random conversation. -> Talk"""
    background = int(rng.choice(list(bank.clips)))
    clips, t = bank.clips[background], Talk(bank, rng, frames, background)
    kinds = [k for k in SHARE if k in clips]
    share = np.array([SHARE[k] for k in kinds])

    def draw(kind):
        return clips[kind][rng.integers(len(clips[kind]))]

    if rng.random() < 0.4:
        at = t.reply(phrases.GREETING, GREET) + int(rng.integers(4, 30))
        if rng.random() < 0.08:
            return t
    else:
        at = int(rng.integers(0, GREET - 2))
    while at < frames - 10:
        kind = str(rng.choice(kinds, p=share / share.sum()))
        clip = draw(kind)
        start = t.ask(clip, at) + REACT
        if kind == "count" and "stop" in clips and rng.random() < 0.6 and start < frames:
            onset = start + int(rng.integers(5, max(6, t.length(clip["reply"]) - 8)))
            stopped = t.ask(draw("stop"), onset) if onset < frames else frames
            t.reply(clip["reply"], start, until=stopped + OBEY)
            at = t.reply(phrases.STOPPED, stopped + OBEY + REACT)
        elif kind == "sum" and rng.random() < ALOUD:
            # it says another sum than was asked; only the result can be known, from its own words
            aloud = another_sum(bank, rng, clip)
            at = t.reply(aloud, start)
            result = start + bank.replies[aloud][1][3][1]
            t.fair[start - 1:result - 1] = False
        else:
            at = t.reply(clip["reply"], start)
        pause = (3, 25) if rng.random() < 0.9 else (25, 90)
        at += int(rng.integers(*pause))
    return t


def batch(bank, rng, size, frames):
    """-> codes [B, 17, T] (text, Parley, user), heard [B, T], speaks [B, T], fair [B, T]"""
    talks = [talk(bank, rng, frames) for _ in range(size)]
    return (np.stack([np.concatenate([t.text[None], t.model, t.user]) for t in talks]),
            np.stack([t.heard for t in talks]), np.stack([t.speaks for t in talks]),
            np.stack([t.fair for t in talks]))
