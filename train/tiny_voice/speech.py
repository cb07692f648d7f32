# SPDX-License-Identifier: MIT
"""Step 1: the corpus. Questions by many voices in many rooms, replies in Parley's one voice.

Written to the data folder, clips laid end to end, each of whole frames:
  user-000.npy ..., model.npy    int16 sound [n]
  ..._phones.npy                 u8 phoneme of every 20 ms [n / 480], an index in voices.PHONES
  ....json                       text, reply, voice, place and times (seconds) of each clip
  voices.npy                     int16 sound of many people at once, a background
  questions.json                 which questions these are, and by which synthesisers
"""

import contextlib
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np

from . import audio, neural, phrases, rooms, voices
from .audio import FRAME, LABEL, RATE
from .voices import UNKNOWN

PARLEY_GAIN = 1.7
# How many there are to draw from; how often it hears them is said in dialogues.py. Three hundred
# words and twelve hundred phrasings want more than sums, which are of few words.
TRAIN_SHARE = dict(sum=0.22, faq=0.27, manners=0.07, count=0.04, list=0.02, say=0.28, stop=0.03,
                   ood=0.07)
NATURAL = 0.2                           # share of the training questions by kokoro,
TAKES = 4                               # which says each once for so many heads, rooms and noises
CROWDED = 0.25                          # share of the training questions among loud voices
JOINED = 0.15                           # share of the sums joined from single words
PAUSED = 0.12                           # and, with words to repeat, with a pause inside
CROWD_DB = (4, 20)                      # how far below the question these are
MURMURS = 96                            # recordings of many people at once, five seconds each
# "train", "train_natural": voices and phrasings of the training. Held out: new voices; new voices
# and phrasings; a synthesiser never trained on; people of kokoro never trained on. "final" sets are
# opened once, at the end, the others steer.
SPLITS = ("train", "voice", "phrase", "other", "final_voice", "final_phrase", "other_final",
          "natural", "final_natural")
TRAINING = ("train", "train_natural")
PHRASING = dict(train="train", train_natural="train", phrase="held", final_phrase="final")
SHARD = 6000                            # questions in a file
BEFORE, AFTER = 4, 6                    # frames of room before and after a question


def phone_labels(n, phones, shift, seconds=0.0):
    """(phone, second) of each phoneme, `shift` later, -> u8 label of every 20 ms of n samples

    phones None: they are not known of the `seconds` that the speech takes.
    """
    labels = np.zeros(n // LABEL, np.uint8)
    if phones is None:
        labels[max(0, round(shift * 50)):round((shift + seconds) * 50) + 1] = UNKNOWN
        return labels
    if not phones:
        return labels
    edges = [(phone, second + shift) for phone, second in phones]
    edges.append((0, edges[-1][1] + 0.08))
    for (phone, begin), (_, end) in zip(edges, edges[1:]):
        labels[max(0, round(begin * 50)):max(0, round(end * 50))] = phone
    return labels


def hesitate(rng, text):
    """A comma somewhere before the last word: the synthesiser pauses there."""
    words = text.split()
    for i in range(len(words) - 1):
        if rng.random() < 0.35:
            words[i] += ","
    return " ".join(words)


def speak(rng, whose, kind, text, split):
    """A question by a random voice, whom and how `whose` draws. -> espeak.Speech, name of the voice
    """
    natural = split == "train_natural"
    who = voices.draw_natural(whose, rng) if natural else voices.draw(rng, split)
    name = who.get("voice", who["program"])
    manner = whose.random() if split in TRAINING else 1.0
    if kind in ("sum", "count") and manner < JOINED and not natural:
        said = voices.say_apart(rng, text, who)
    elif kind in ("sum", "count", "say") and manner < JOINED + PAUSED:
        said = voices.say(hesitate(whose, text), who)
        said.words = [(w.strip(","), b, e) for w, b, e in said.words]
    else:
        said = voices.say(text, who)
    return said, name


_babble = None                          # this process's copy of voices.npy


def babble(folder):
    """Many people at once; without a corpus six whom training never hears."""
    global _babble
    if _babble is None:
        path = Path(folder or ".") / "voices.npy"
        _babble = audio.to_float(np.load(path)) if folder and path.exists() else murmur(
            0, "voice")
    return _babble


def user_clip(seed, kind, split, folder, noise=None, snr_db=None, before=BEFORE, after=AFTER):
    """One question. -> (int16 [n], labels [n / 480], facts)

    noise: name of the background; snr_db: how far below the speech it is; before, after: frames of
    room around the question.
    """
    rng = np.random.default_rng([seed, 78])
    whose = np.random.default_rng([seed // TAKES, 81]) if split == "train_natural" else rng
    text, reply = phrases.ask(whose, kind, PHRASING.get(split, "known"))
    said, voice = speak(rng, whose, kind, text, split)
    a, b = audio.speech_span(said.pcm)
    x = rooms.room(rng, said.pcm[a:b])
    quiet = rng.uniform(-24, -2)
    share = np.array([p for _, p in rooms.BACKGROUNDS.values()])
    name = noise or str(rng.choice(rooms.NAMES, p=share / share.sum()))
    if split in TRAINING and rng.random() < CROWDED:
        name, snr_db = "voices", rng.uniform(*CROWD_DB)
    if rooms.BACKGROUNDS[name][0] and rooms.BACKGROUNDS[name][0][1] > -42:
        quiet = max(quiet, -10)                                     # one speaks up in a loud place
    x *= 10 ** (quiet / 20) / max(1e-3, np.abs(x).max())
    start = before * FRAME + int(rng.integers(FRAME))
    n = -(-(start + len(x) + after * FRAME) // FRAME) * FRAME
    span_db = rooms.BACKGROUNDS[name][0]
    if snr_db is not None:
        span_db = (10 * np.log10(np.mean(np.square(x)) + 1e-12) - snr_db,) * 2
    y = rooms.noise(rng, n, name, span_db, babble(folder))
    y[start:start + len(x)] += x
    shift = (start - a) / RATE
    words = [(w, round(b + shift, 3), round(e + shift, 3)) for w, b, e in said.words]
    return audio.to_int16(y), phone_labels(n, said.phones, shift, len(said.pcm) / RATE), dict(
        kind=kind, split=split, text=text, reply=reply, voice=voice, noise=name,
        start=start / RATE, end=(start + len(x)) / RATE, words=words)


def by_parley(text):
    """`text` in Parley's voice. -> espeak.Speech, from the first sound to the last"""
    return voices.timed(text, neural.say_parley(text) * PARLEY_GAIN, fresh=True)


def reply_clip(text):
    """What is spoken in one breath, in Parley's voice from the first sample on. As user_clip."""
    said = by_parley(text)
    y = np.pad(said.pcm, (0, -len(said.pcm) % FRAME))
    seconds = len(said.pcm) / RATE
    words = [(w, round(begin, 3)) for w, begin, _ in said.words]
    return audio.to_int16(y), phone_labels(len(y), said.phones, 0, seconds), dict(
        text=text, words=words, seconds=seconds)


def murmur(seed, split="train"):
    """Five seconds of six people at once, as noise. -> float32 [n]"""
    rng = np.random.default_rng([seed, 79])
    y = np.zeros(5 * RATE, np.float32)
    for _ in range(6):
        at = -int(rng.integers(2 * RATE))
        who = voices.draw(rng, split)
        while at < len(y):
            text, _ = phrases.ask(rng, "ood", PHRASING.get(split, "known"))
            x = voices.say(text, who).pcm
            x = x / max(1e-3, np.sqrt(np.mean(np.square(x)))) * rng.uniform(0.3, 1)
            first, n = max(0, -at), min(len(y) - max(at, 0), len(x) - max(0, -at))
            if n > 0:
                y[max(at, 0):max(at, 0) + n] += x[first:first + n]
            at += len(x) + int(rng.integers(RATE))
    return 0.1 * y


def train_questions(n, skip=0, split="train", takes=1):
    """Seeds and kinds of the n training questions after the first `skip`: [(seed, kind, split)]

    takes: so many in a row are of a kind.
    """
    rng = np.random.default_rng(2)
    kinds = rng.choice(list(TRAIN_SHARE), -(-(skip + n) // takes), p=list(TRAIN_SHARE.values()))
    return [(i + 10 ** 7 * phrases.KINDS.index(k), str(k), split)
            for i, k in enumerate(np.repeat(kinds, takes))][skip:skip + n]


def held_questions(split, kind, n):
    """The first n held-out questions of a split and kind, always the same: [(seed, kind, split)]"""
    base = 10 ** 6 * (1 + SPLITS.index(split)) + 10 ** 7 * phrases.KINDS.index(kind)
    return [(base + i, kind, split) for i in range(n)]


def write_json(path, facts):
    """A file that is whole or not there."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(facts))
    part.replace(path)


def save(folder, name, clips):
    pcm, labels, facts = zip(*clips)
    at = 0
    for fact, x in zip(facts, pcm):
        fact["frame"], fact["frames"] = at // FRAME, len(x) // FRAME
        at += len(x)
    np.save(folder / f"{name}.npy", np.concatenate(pcm))
    np.save(folder / f"{name}_phones.npy", np.concatenate(labels))
    write_json(folder / f"{name}.json", facts)
    print(f"{name}: {len(facts)} clips, {at / RATE:.0f} s", flush=True)


def of_kokoro(n):
    """How many of the first n training questions are by kokoro."""
    return round(n * NATURAL / TAKES) * TAKES * voices.has("neural kokoro")


def questions(data, clips, skip=0):
    """-> what questions.json says of them; SystemExit if the folder `data` holds others"""
    natural = of_kokoro(clips)
    wanted = dict(clips=clips, skip=skip, natural=natural, synthesisers=[
        *voices.trained()[0], *["neural kokoro"] * bool(natural)])
    path = Path(data) / "questions.json"
    if path.exists():
        others = json.loads(path.read_text()) != wanted
    else:
        others = any(Path(data).glob("user-*.json"))
    if others:
        raise SystemExit(f"{data} holds other questions than these, or does not say which: take"
                         " another --data or remove its files")
    return wanted


@contextlib.contextmanager
def one_thread_each():
    """For the processes that begin in it; this one computes with all cores later."""
    names = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def synthesise(data, clips, jobs, skip=0):
    """Writes the whole corpus to the folder `data`: `clips` training questions after `skip`."""
    folder = Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    wanted, skipped = questions(folder, clips, skip), of_kokoro(skip)
    natural = wanted["natural"]
    print("synthesisers:", *wanted["synthesisers"], flush=True)
    write_json(folder / "questions.json", wanted)
    todo = [(*q, str(folder)) for q in train_questions(clips - natural, skip - skipped)
            + train_questions(natural, skipped, "train_natural", TAKES)]
    # spawned, not forked: each process needs an espeak-ng library of its own
    with one_thread_each(), multiprocessing.get_context("spawn").Pool(jobs) as pool:
        save(folder, "model", pool.map(reply_clip, phrases.spoken(), chunksize=50))
        np.save(folder / "voices.npy",
                audio.to_int16(np.concatenate(pool.map(murmur, range(MURMURS), chunksize=1))))
        for i in range(0, len(todo), SHARD):
            name = f"user-{i // SHARD:03}"
            if not (folder / f"{name}.json").exists():          # written last: whole
                save(folder, name, pool.starmap(user_clip, todo[i:i + SHARD], chunksize=6 * TAKES))
