# SPDX-License-Identifier: MIT
"""Step 1: the corpus. Questions by many voices in many rooms, replies in Parley's one voice.

Written to the data folder, clips laid end to end, each of whole frames:
  user.npy, model.npy                int16 sound [n]
  user_phones.npy, model_phones.npy  u8 phoneme of every 20 ms [n / 480]: 0 silence, UNKNOWN
  user.json, model.json              text, reply, voice, place and times (seconds) of each clip
"""

import json
import multiprocessing
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from . import audio, espeak, phrases, rooms
from .audio import FRAME, LABEL, RATE

PARLEY_VOICE = dict(voice="en-us", rate=150, pitch=45, pitch_range=35)
ACCENTS = ("en-us en-us en-gb-x-rp en-gb-scotland en-029 en-gb-x-gbclan en-us-nyc").split()
VARIANTS = (
    "m1 m2 m3 m4 m5 m7 m8 f1 f2 f3 f5 klatt klatt2 klatt4 Alex Andy Annie Denis Gene Hugo Jacky Lee"
    " Mario Michael Mike adam anika antonio aunty belinda benjamin david ed edward grandma grandpa"
    " iven john linda max miguel norbert pablo paul pedro quincy rob robert steph travis victor zac"
).split()
FLITE = ["kal16", "awb", "rms"]                                 # a second synthesiser, if there
HELD_ACCENT = "en-gb-x-gbcwmd"                                  # never trained on
HELD_VARIANTS = "m6 f4 Marco Andrea caleb klatt3".split()
HELD_FLITE = ["slt"]

UNKNOWN = 255
PHONES = (
    "_ p b t d k g tS dZ f v T D s z S Z h m n N l r w j @ 3 3: a A: E I i i: O O: 0 U u: V aI aU"
    " eI OI oU e@ i@ U@ A@ o@ O@ @L ?").split()            # "?": any that is not in the list

TRAIN_SHARE = dict(sum=0.46, faq=0.26, count=0.06, say=0.1, stop=0.05, ood=0.07)
HELD_COUNT = dict(sum=60, faq=60, count=16, say=24, stop=16, ood=16)    # in each held-out split
# trained voices and phrasings; new voices; new voices and phrasings; a synthesiser never trained on
SPLITS = ("train", "voice", "phrase", "other")

BEFORE, AFTER = RATE, RATE * 8 // 10            # samples of room before and after a question


def phone_id(name):
    """espeak's phoneme name, with its marks and variants, -> index in PHONES"""
    name = re.sub(r"[#\-\[;!']", "", name)
    for n in (name, re.sub(r"\d", "", name), re.sub(r"[\d:]", "", name), name[:1]):
        if n in PHONES:
            return PHONES.index(n)
    return 0 if name.startswith("_") else PHONES.index("?")


def phone_labels(n, phones, shift):
    """(name, second) of each phoneme, `shift` later, -> u8 label of every 20 ms of n samples"""
    labels = np.zeros(n // LABEL, np.uint8)
    if not phones:
        return labels
    edges = [(phone_id(name), second + shift) for name, second in phones]
    edges.append((0, edges[-1][1] + 0.08))
    for (phone, begin), (_, end) in zip(edges, edges[1:]):
        labels[max(0, round(begin * 50)):max(0, round(end * 50))] = phone
    return labels


def flite(text, voice, stretch):
    """The other synthesiser, as a program. -> float32 [n]"""
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        subprocess.run(["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.2f}",
                        "-t", text, "-o", f.name], check=True)
        x, rate = soundfile.read(f.name, dtype="float32")
    return audio.resample(x, rate)


def has_flite():
    return shutil.which("flite") is not None


def speak_as_user(rng, text, split):
    """-> (espeak.Speech, name of the voice); phones are None where the synthesiser tells none"""
    held = split != "train"
    if has_flite() and (split == "other" or (not held and rng.random() < 0.08)):
        voice = str(rng.choice(HELD_FLITE if split == "other" else FLITE))
        said = espeak.Speech(flite(text, voice, rng.uniform(0.85, 1.15)), [], None)
        return said, "flite " + voice
    if split == "other":
        raise RuntimeError("flite is not installed: it is the other synthesiser")
    accent = HELD_ACCENT if held and rng.random() < 0.3 else rng.choice(ACCENTS)
    new_variant = held and accent != HELD_ACCENT
    voice = f"{accent}+{rng.choice(HELD_VARIANTS if new_variant else VARIANTS)}"
    return espeak.say(text, voice, rng.integers(125, 190), rng.integers(25, 80),
                      rng.integers(20, 80)), voice


def user_clip(seed, kind, split):
    """One question. -> (int16 [n], labels [n / 480], facts)"""
    rng = np.random.default_rng([seed, 77])
    text, reply = phrases.ask(rng, kind, held_out=split == "phrase" and kind != "ood")
    said, voice = speak_as_user(rng, text, split)
    a, b = audio.speech_span(said.pcm)
    x = rooms.room(rng, said.pcm[a:b])
    x *= 10 ** (rng.uniform(-20, -3) / 20) / max(1e-3, np.abs(x).max())
    start = BEFORE + int(rng.integers(FRAME))
    n = -(-(start + len(x) + AFTER) // FRAME) * FRAME
    noise = int(rng.choice(len(rooms.BACKGROUNDS), p=[0.3, 0.2, 0.2, 0.1, 0.2]))
    y = rooms.background(rng, n, noise)
    y[start:start + len(x)] += x
    shift, end = (start - a) / RATE, (start + len(x)) / RATE
    if said.phones is None:
        labels = np.full(n // LABEL, UNKNOWN, np.uint8)
    else:
        labels = phone_labels(n, said.phones, shift)
    begins = [round(second + shift, 3) for _, second in said.words]
    ends = begins[1:] + [round(end, 3)] if begins else []
    words = [(w, begin, e) for (w, _), begin, e in zip(said.words, begins, ends)]
    return audio.to_int16(y), labels, dict(
        kind=kind, split=split, text=text, reply=reply, voice=voice, noise=noise,
        start=start / RATE, end=end, words=words)


def reply_clip(text):
    """One reply, or a piece of a sum, in Parley's voice from the first sample on. As user_clip."""
    said = espeak.say(text, **PARLEY_VOICE)
    a, b = audio.speech_span(said.pcm)
    x = said.pcm[a:b] * 0.6
    y = np.zeros(-(-len(x) // FRAME) * FRAME, np.float32)
    y[:len(x)] = x
    shift = -a / RATE
    words = [(w, max(0, round(second + shift, 3))) for w, second in said.words]
    return audio.to_int16(y), phone_labels(len(y), said.phones, shift), dict(
        text=text, words=words, seconds=len(x) / RATE)


def train_questions(n):
    """Seeds and kinds of the first n training questions: [(seed, kind, "train")]"""
    rng = np.random.default_rng(1)
    kinds = rng.choice(list(TRAIN_SHARE), n, p=list(TRAIN_SHARE.values()))
    return [(i + 10 ** 7 * phrases.KINDS.index(k), str(k), "train") for i, k in enumerate(kinds)]


def held_questions(split, kind):
    """The held-out questions of a split and kind, always the same: [(seed, kind, split)]"""
    base = 10 ** 6 * SPLITS.index(split) + 10 ** 7 * phrases.KINDS.index(kind)
    return [(base + i, kind, split) for i in range(HELD_COUNT[kind])]


def save(folder, name, clips):
    pcm, labels, facts = zip(*clips)
    at = 0
    for fact, x in zip(facts, pcm):
        fact["frame"], fact["frames"] = at // FRAME, len(x) // FRAME
        at += len(x)
    np.save(folder / f"{name}.npy", np.concatenate(pcm))
    np.save(folder / f"{name}_phones.npy", np.concatenate(labels))
    (folder / f"{name}.json").write_text(json.dumps(facts))
    print(f"{name}: {len(facts)} clips, {at / RATE:.0f} s", flush=True)


def synthesise(data, clips, jobs):
    """Writes the whole corpus with `clips` training questions to the folder `data`."""
    folder = Path(data)
    folder.mkdir(parents=True, exist_ok=True)
    todo = train_questions(clips)
    for split in SPLITS[1:]:
        if split == "other" and not has_flite():
            print("flite is not installed: no other synthesiser, neither in training nor held out")
            continue
        todo += [q for kind in phrases.KINDS for q in held_questions(split, kind)]
    # spawned, not forked: each process needs an espeak-ng library of its own
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        texts = phrases.replies() + phrases.all_sum_pieces()
        save(folder, "model", pool.map(reply_clip, texts, chunksize=50))
        save(folder, "user", pool.starmap(user_clip, todo, chunksize=50))
