# SPDX-License-Identifier: MIT
"""Two-channel conversations put together while training.

What the user's microphone hears, what Parley says, and Parley's inner monologue. A reply begins
REACT frames after the user's last sound; a word stands on the frame where it begins. Whoever speaks
while Parley speaks silences it, and is answered unless it was "stop".
"""

import numpy as np

from . import phrases, rooms
from .audio import frame_of
from .bank import view_of
from .corpus import LABELS_A_FRAME, UNHEARD
from .stem import A_FRAME
from .tokens import END_OF_PADDING, PAD

REACT = 6               # frames from the user's last sound to the reply
GREET = 8               # frame of the greeting when nobody has spoken
YIELD = 5               # frames of the user's speech after which Parley falls silent
MISSED, LATE = 0.35, 12     # share of the interruptions that it misses at first, how long at most
HELD = 25               # frames after it was cut off in which its next words are held back
DRILLED = 8             # words of an answer that a drill writes
ALOUD = 0.3             # share of the sums that teach arithmetic and not listening
NEAR = 0.25             # share of the conversations in which the microphone hears the loudspeaker
NOBODY = 0.08           # share of the conversations in which there is only noise
HARDER = 1.3            # how much oftener than in the corpus questions are among many voices
BEHIND, FAINT = 0.4, 0.15   # share of the drills that hear another one too, how loud at most
ROUGH = 0.4             # most noise on what is heard, against what it varies
FRESH = 0.5             # share of the conversations that begin as a stream does
SHARE = dict(sum=0.27, faq=0.25, manners=0.09, count=0.07, list=0.04, say=0.19, stop=0.03,
             ood=0.08, beyond=0.05)     # "beyond": a question outside the small world
DRILL = dict(sum=0.26, faq=0.25, manners=0.09, count=0.04, list=0.02, say=0.25, stop=0.03,
             ood=0.06, beyond=0.05)
INTERRUPT = dict(sum=0.25, faq=0.45, manners=0.25, count=0.75, list=0.75, say=0.0, stop=0.0,
                 ood=0.4, beyond=0.35)
LONG = 40               # frames of a reply that one is likely to want stopped
STOPS = dict(long=0.4, short=0.15)      # share of the interruptions of a reply that are "stop"


class Talk:
    """One conversation of `frames` frames."""

    def __init__(self, bank, rng, frames, background, near=None):
        one = background[rng.integers(len(background))]
        at = 0 if rng.random() < FRESH else rng.integers(len(one) // A_FRAME - frames)
        self.bank, self.rng, self.frames = bank, rng, frames
        self.user = one[at * A_FRAME:(at + frames) * A_FRAME].copy()    # f16 [16 a frame, channels]
        self.phones = np.zeros(frames * LABELS_A_FRAME, np.uint8)
        self.model = None                                               # [8, frames]
        if bank.silence is not None:
            self.model = np.repeat(bank.silence[:, None], frames, 1)
        self.text = np.full(frames, PAD)
        self.heard = np.zeros(frames, np.int64)         # the user's word that ended just before
        self.speaks = np.zeros(frames, bool)            # Parley does
        self.fair = np.ones(frames, bool)               # this frame's text can be known
        self.held = np.zeros(frames, bool)              # a word is due that Parley is not to say
        self.missed = np.zeros(frames, bool)            # Parley speaks and should not any more
        self.hushed = np.zeros(frames, bool)            # in a drill: the user has the word
        self.near, self.delay = near, int(rng.integers(1, 5))   # which echo, how late; None: none
        self.busy = -1                                  # the user's channel holds speech until here

    def ask(self, clip, at):
        """The user's clip with its first sound in frame `at`. -> frame of its last sound"""
        clip = view_of(clip, self.rng)
        first, last = frame_of(clip["start"]), frame_of(clip["end"])
        begin = max(0, first - at, min(first, self.busy - at + first))
        place = at - (first - begin)
        n = min(clip["frames"] - begin, self.frames - place)
        if n > 0:
            sound, phones = self.bank.sound_of(clip, begin, n)
            self.user[place * A_FRAME:(place + n) * A_FRAME] = sound
            self.phones[place * LABELS_A_FRAME:(place + n) * LABELS_A_FRAME] = phones
            if not clip["words"]:
                self.heard[place:place + n] = UNHEARD
            for word, end in clip["words"]:
                f = at + frame_of(end) - first + 1
                if word and f < self.frames:
                    self.heard[f] = self.bank.vocabulary.get(word, 0)
        self.busy = at + last - first + 1
        return at + last - first

    def reply(self, text, at, until=None, late=0):
        """Parley says `text` from frame `at`, cut off at frame `until`, or so many frames late.
        -> first frame after it"""
        said = self.bank.replies[text]
        end = min(self.frames, at + said.frames, until + late if until else self.frames)
        self.missed[until or end:end] = True
        self.fair[until or end:end] = False
        if end > at:
            self.model[:, at:end] = said.codes[:, :end - at]
            self.speaks[at:end] = True
            if self.near is not None:
                place = at + self.delay
                n = min(end - at, self.frames - place)
                if n > 0:
                    self.user[place * A_FRAME:(place + n) * A_FRAME] = said.echo(
                        self.bank.echo[self.near], n)
        free = at
        for tokens, f in said.words:
            f = max(free, at + f)
            if end <= f < end + HELD:
                self.held[f - 1:f + len(tokens)] = True
            elif 0 < f < end and self.text[f - 1] == PAD:
                self.text[f - 1] = END_OF_PADDING
            for token in tokens:
                if f < end:
                    self.text[f] = token
                f += 1
            free = f
        return max(end, at)

    def length(self, text):
        return self.bank.replies[text].frames


def late(rng, clip):
    """By how many frames Parley misses that the user's `clip` interrupts it. It must have seen what
    it is like to have spoken on: who never has goes on to the end. Before its answer it is over."""
    room = frame_of(clip["end"]) - frame_of(clip["start"]) + REACT - YIELD - 3
    return int(rng.integers(1, 1 + min(LATE, max(1, room)))) if rng.random() < MISSED else 0


def another_sum(bank, rng, clip):
    """Of twelve random sums the one that sounds most like the question."""
    some = [phrases.sum_reply(phrases.draw_sum(rng)) for _ in range(12)]
    return max(some, key=lambda s: len(set(s.split()) & set(clip["text"].split())))


def draw_background(bank, rng):
    """-> its name; as often as in the corpus, but many voices HARDER times as often"""
    names = list(bank.clips)
    share = np.array([sum(map(len, bank.clips[n].values())) * (HARDER if n in rooms.CROWDS else 1)
                      for n in names])
    return str(rng.choice(names, p=share / share.sum()))


def begin(bank, rng, frames):
    """-> Talk with its background, clips that fit it by kind (None: nobody speaks)"""
    if rng.random() < NOBODY:
        name = str(rng.choice(list(bank.loud)))
        return Talk(bank, rng, frames, bank.loud[name]), None
    near = int(rng.integers(len(bank.echo))) if rng.random() < NEAR else None
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


def talk(bank, rng, frames=250, shares=SHARE):
    """A random conversation, its questions by `shares`. -> Talk"""
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
    clip, interrupts = draw(clips, rng, shares), False
    while at < frames - 10:
        start = t.ask(clip, at) + REACT
        if interrupts and clip["kind"] == "stop":
            at, clip, interrupts = start + int(rng.integers(3, 40)), draw(clips, rng, shares), False
            continue
        length = t.length(clip["reply"])
        if rng.random() < INTERRUPT[clip["kind"]] and start < frames:
            at = start + int(rng.integers(3, max(4, length - 4)))
            stops = rng.random() < STOPS["long" if length > LONG else "short"]
            reply, interrupts = clip["reply"], True
            clip = draw(clips, rng, dict(stop=1) if stops else shares)
            t.reply(reply, start, until=at + YIELD, late=late(rng, clip))
            continue
        at = answer(t, bank, rng, clip, start)
        at += int(rng.integers(*((3, 25) if rng.random() < 0.88 else (25, 120))))
        clip, interrupts = draw(clips, rng, shares), False
    return t


def drill(bank, rng, frames=250):
    """Question upon question, each answered in writing alone and at once: more to listen to in
    the same time than in a conversation. -> Talk"""
    name = draw_background(bank, rng)
    t = Talk(bank, rng, frames, bank.noise[name])
    at = int(rng.integers(2, 10))
    while at < frames - 10:
        clip = draw(bank.clips[name], rng, DRILL)
        first, at = at, t.ask(clip, at) + REACT
        t.hushed[first + YIELD:at] = True
        words = [token for tokens, _ in bank.replies[clip["reply"]].words for token in tokens]
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
    t.fair[start - 1:start + bank.replies[aloud].words[3][1] - 1] = False
    return end


def roughened(rng, some, behind=0.0):
    """What conversations hear, f16 [B, 16 T, C], with noise and a share of them, `behind`, with
    another one faintly behind: else the sound of every clip is soon known by heart.

    Drills alone hear others behind: who speaks faintly while Parley speaks may want it to stop.
    """
    user = np.stack([t.user for t in some]).astype(np.float32)
    mean, deviation = (f(user, 1, keepdims=True) for f in (np.mean, np.std))    # of each channel
    other = np.roll((user - mean) / np.maximum(deviation, 1e-3), 1, 0)
    one = len(user), 1, 1
    loud = rng.uniform(0, FAINT, one) * (rng.random(one) < behind)
    rough = rng.uniform(0, ROUGH, one)
    noise = rng.standard_normal(user.shape, np.float32)
    return (user + deviation * (loud.astype(np.float32) * other + rough.astype(np.float32) * noise)
            ).astype(np.float16)


def drills(bank, rng, size, frames):
    """-> features f16 [B, 16 T, C], text, heard and hushed [B, T], phones u8 [B, 4 T]"""
    some = [drill(bank, rng, frames) for _ in range(size)]
    return (roughened(rng, some, BEHIND), *(np.stack([getattr(t, name) for t in some])
                                            for name in ("text", "heard", "hushed", "phones")))


def talks(bank, rng, size, frames, shares=SHARE):
    """-> features f16 [B, 16 T, C], text and Parley's codes [B, 9, T], and [B, T] each: heard,
    speaks, fair, held, missed"""
    some = [talk(bank, rng, frames, shares) for _ in range(size)]
    return (roughened(rng, some), np.stack([np.concatenate([t.text[None], t.model]) for t in some]),
            *(np.stack([getattr(t, name) for t in some])
              for name in ("heard", "speaks", "fair", "held", "missed")))
