# SPDX-License-Identifier: MIT
"""The conversations of the evaluation: what is said to the model, and whether it did right.

A scene is one process of `parley talk` that hears a sound and is judged by its words and its sound.
Scenes are made from seeds, always the same; those of the held-out sets have voices, phrasings and
rooms that training never had.
"""

import functools
import re
from dataclasses import dataclass

import numpy as np
import soundfile

from . import audio, phrases, rooms, speech, voices
from .audio import FRAME, RATE, frame_of

LEAD = 36                       # frames before a question, in which it greets
ANSWER_S = 6.0                  # time for an answer
QUIET_S = 60
SEED = 5
SILENT = 0.02                   # of full scale: what is fainter is not speech
HUMAN = "/usr/share/asterisk/sounds/en_US_f_Allison"

# ability: kinds of question (see phrases.KINDS), how many of each split
ASKED = {"manners": 60, "sum": 120, "faq": 150, "say": 120, "ood": 60}
NOISY = 80                      # questions asked twice: in silence, and among voices at 10 dB
STOPS, INTERRUPTIONS, QUIETS, NATURALS, HUMANS = 60, 60, 24, 120, 121
WHOLE = ("manners", "quiet")    # asked whole, whatever the share: a few cannot show 97 or 99 %
SETS = {"steer": ("voice", "phrase", "other", "natural"),
        "final": ("final_voice", "final_phrase", "other_final", "final_natural")}


@dataclass
class Scene:
    name: str                   # unique; results are kept under it
    ability: str
    split: str
    seed: int
    variant: str = ""


def scenes(which, share):
    """Every scene of the set "steer" or "final", `share` of each kind but of those in WHOLE."""
    out = []

    def add(ability, split, n, variant=""):
        n = n if ability in WHOLE else share * n
        out.extend(Scene(f"{ability}{variant}/{split}/{i}", ability, split, i, variant)
                   for i in range(max(1, round(n))))

    *splits, natural = SETS[which]
    for ability, n in ASKED.items():
        for split in splits:
            add(ability, split, n / 2)
    for variant in ("-silence", "-voices"):
        add("noisy", splits[0], NOISY, variant)
    add("stop", splits[0], STOPS)
    add("interrupt", splits[0], INTERRUPTIONS)
    add("quiet", which, QUIETS)
    add("natural", natural, NATURALS)
    if which == "steer":
        add("human", "allison", HUMANS)
    return out


def _question(kind, split, seed, **options):
    """The held-out question. -> sound float32 [n], facts"""
    (seed, kind, split), = speech.held_questions(split, kind, seed + 1)[-1:]
    pcm, _, fact = speech.user_clip(seed, kind, split, None, **options)
    return audio.to_float(pcm), fact


def _sentence(words, first=0, last=10 ** 9):
    return "".join(text for frame, _, text in words if first <= frame < last).strip()


class Asked:
    """One question; the answer must be the right one to the letter."""

    def __init__(self, scene):
        kind, options = scene.ability, {}
        if scene.ability == "natural":
            kind = ("sum", "faq", "say")[scene.seed % 3]
        elif scene.ability == "noisy":
            kind = ("sum", "faq")[scene.seed % 2]
            options = dict(noise="digital silence") if scene.variant == "-silence" else dict(
                noise="voices", snr_db=10)
        self.sound, self.fact = _question(kind, scene.split, scene.seed, before=LEAD,
                                           after=int(ANSWER_S * 12.5), **options)

    def judge(self, words, sound):
        first = frame_of(self.fact["start"])
        said = _sentence(words, first)
        right = said == self.fact["reply"]
        if self.fact["kind"] == "ood":
            right = right or said == next(r for r in phrases.FAQ if r.startswith("I can add"))
        delay = [f for f, _, _ in words if f >= first][:1]
        return dict(right=right, asked=self.fact["text"], voice=self.fact["voice"], said=said,
                    want=self.fact["reply"],
                    delay_s=round(said_at(delay[0]) - self.fact["end"], 3) if delay else None)


def said_at(frame):
    """When an output frame begins to be heard: the input frame that it follows is over. -> seconds
    """
    return (frame + 1) * FRAME / RATE


def _place(x, sound, at):
    """Adds sound to x from second `at`, as far as there is room."""
    first = int(at * RATE)
    n = min(len(sound), len(x) - first)
    x[first:first + n] += sound[:n]


class Interrupted:
    """A long answer, and somebody speaks into it: "stop", or another question."""

    def __init__(self, scene):
        rng = np.random.default_rng([SEED, scene.seed, 1])
        self.is_stop = scene.ability == "stop"
        kind = ("count", "list")[int(rng.random() < 0.4)] if self.is_stop or rng.random() < 0.5 \
            else "faq"
        sound, first = _question(kind, scene.split, 200 + scene.seed)
        while kind == "count" and first["reply"].count(",") < 7:        # long enough to be stopped
            sound, first = _question(kind, scene.split, int(rng.integers(300, 10 ** 4)))
        second = "stop" if self.is_stop else str(rng.choice(["sum", "faq", "say"]))
        spoken, self.fact = _question(second, scene.split, 100 + scene.seed)
        spoken = spoken[int(self.fact["start"] * RATE):int(self.fact["end"] * RATE)]
        lead = LEAD * FRAME / RATE - first["start"]
        into = (1.2, 3.2) if self.is_stop or kind != "faq" else (0.5, 1.2)
        self.begin = lead + first["end"] + 0.4 + float(rng.uniform(*into))
        self.end = self.begin + len(spoken) / RATE
        n = frame_of(self.end + ANSWER_S)
        self.sound = np.zeros(n * FRAME, np.float32)
        _place(self.sound, sound, lead)
        _place(self.sound, spoken, self.begin)

    def judge(self, words, sound):
        before = _sentence(words, frame_of(self.begin) - 15, frame_of(self.begin))
        said = _sentence(words, frame_of(self.end))
        silent = silent_from(sound, self.begin)
        after = None if silent is None else round(max(0.0, said_at(silent) - self.end), 3)
        facts = dict(asked=self.fact["text"], voice=self.fact["voice"], was_speaking=bool(before),
                     said=said, silent_after_s=after)
        if not self.is_stop:
            is_answer = f" {said}".endswith(" " + self.fact["reply"])       # in whole words
            return dict(right=is_answer, want=self.fact["reply"], **facts)
        goes_on = _sentence(words, frame_of(self.end + 1.0)) not in ("", phrases.STOPPED)
        return dict(right=after is not None and after <= 0.5 and not goes_on, **facts)


def silent_from(sound, second, pause_s=0.3):
    """The first moment, in frames, after `second` from which nothing is said for a while, or None.

    Between two numbers it pauses less, between two letters about as long.
    """
    n = int(pause_s * 50)
    loud = np.abs(sound[:len(sound) // 480 * 480]).reshape(-1, 480).max(1) > SILENT
    for i in range(int(second * 50), len(loud) - n):
        if not loud[i:i + n].any():
            return i / 50 * RATE / FRAME
    return None


class Quiet:
    """Nobody speaks for a minute; more than the greeting is wrong."""

    def __init__(self, scene):
        names = ("digital silence", *rooms.LOUD, "faint white")
        rng = np.random.default_rng([SEED, scene.seed, 2, 5 + list(SETS).index(scene.split)])
        self.name = names[scene.seed % len(names)]
        span = rooms.LOUD.get(self.name, rooms.BACKGROUNDS.get(self.name, (None,))[0])
        self.sound = rooms.noise(rng, frame_of(QUIET_S) * FRAME, self.name, span)

    def judge(self, words, sound):
        said = _sentence(words)
        return dict(right=said in ("", phrases.GREETING), asked=self.name, said=said)


@functools.cache
def _human_word(name):
    x, rate = soundfile.read(f"{HUMAN}/{name}.wav", dtype="float32")
    x = audio.resample(x, rate)
    a, b = audio.speech_span(x, 0.02)
    return x[a:b] * (0.5 / np.abs(x).max())


class Human:
    """A sum put together from single words that a person spoke: "three" "plus" "four"."""

    def __init__(self, scene):
        self.pair = divmod(scene.seed * 37 % 121, 11)                  # a share of them mixes well
        a, b = self.pair
        gap = np.zeros(int(0.06 * RATE), np.float32)
        spoken = np.concatenate([part for name in (f"digits/{a}", "letters/plus", f"digits/{b}")
                                 for part in (_human_word(name), gap)])
        self.end = LEAD * FRAME / RATE + len(spoken) / RATE
        self.sound = np.zeros(frame_of(self.end + ANSWER_S) * FRAME, np.float32)
        _place(self.sound, spoken, LEAD * FRAME / RATE)

    def judge(self, words, sound):
        a, b = self.pair
        said = _sentence(words, LEAD)
        want = phrases.sum_reply((a, "plus", b, a + b))
        heard = re.match(r"(\w+) (plus|minus|times) (\w+) is", said)
        return dict(right=said == want, asked=f"{phrases.number(a)} plus {phrases.number(b)}",
                    said=said, want=want, spoken=[phrases.number(a), phrases.number(b)],
                    heard=[heard.group(1), heard.group(3)] if heard else [None, None])


MAKE = dict(stop=Interrupted, interrupt=Interrupted, quiet=Quiet, human=Human)


def make(scene):
    return MAKE.get(scene.ability, Asked)(scene)


def is_possible(scene):
    """Are the voices of this scene installed here?"""
    if scene.ability == "human":
        try:
            return len(_human_word("letters/plus")) > 0
        except (OSError, RuntimeError):
            return False
    program = "neural kokoro" if scene.ability == "natural" else voices.HELD_SYNTHESISER.get(
        scene.split)
    return program is None or voices.has(program)

