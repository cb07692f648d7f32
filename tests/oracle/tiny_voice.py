# SPDX-License-Identifier: MIT
"""Fifty spoken questions to models/tiny-voice, and what the official package answers.

    python3 tests/oracle/tiny_voice.py            writes tests/golden/tiny-voice, what is missing
    python3 tests/oracle/tiny_voice.py --check    writes nothing, fails if the package differs

The questions are spoken by espeak-ng and flite; the answers come from the official streaming
classes at temperature 0, as moshi.run_inference calls them: whole frames, the first one stepped
twice, bf16 weights raised to f32, f32 arithmetic on one thread. For each question NAME:

  NAME.flac          the sound, 24 kHz, 16 bits, mono
  NAME.jsonl         {"frame", "token", "text"} of every word, as `parley talk --text` writes them
  NAME.safetensors   heard i16 [8, F]: the user's codes; said i16 [9, F]: text and Parley's codes
  expect.json        versions, sums of the weights, each question with its smallest margins, and
                     the answer to tests/e2e/data/question-sum.wav

A question answered before with the same weights stays; other weights make all of them anew.

A question in which any decision is nearly a tie is spoken again in another pitch, so that equality
to the last token is a fair demand on another implementation.
"""

import argparse
import contextlib
import functools
import hashlib
import io
import json
import multiprocessing
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile

from common import Near, check_codes, checkpoint, fresh_folder, mimi_encode, save, save_json

import torch
from moshi.models import lm as moshi_lm
from moshi.models.lm import LMGen
from moshi.run_inference import InferenceState
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "train"))

from tiny_voice import audio, espeak, rooms, voices        # noqa: E402
from tiny_voice.audio import FRAME, RATE                    # noqa: E402

MODEL = ROOT / "models" / "tiny-voice"
GOLDEN = ROOT / "tests" / "golden" / "tiny-voice"
QUESTION_SUM = ROOT / "tests" / "e2e" / "data" / "question-sum.wav"

TEXT_MARGIN = AUDIO_MARGIN = 2e-3       # logits; f32 rounding moves them by 1e-5
CODEC_MARGIN = 3e-6                     # squared distances, relative; rounding moves them by 1e-6
TRIES = 30                              # pitches
TAIL_S, NOISY_TAIL_S = 4.8, 2.8         # after the user's last sound; noise does not compress

# name: (voice, seconds before, [text, or (seconds to wait, text) spoken later], background)
QUESTIONS = {
    "sum-plus": ("en-us+f2", 0.2, ["what is two plus five"], 0),
    "sum-minus": ("en-gb-x-rp", 0.3, ["how much is nine minus four"], 0),
    "sum-times": ("en-us+m3", 0.1, ["calculate three times three"], 0),
    "sum-greeted": ("en-gb-x-rp+m3", 2.6, ["what is six plus one"], 0),
    "sum-zero": ("en-us+Annie", 0.25, ["please tell me ten minus ten"], 0),
    "sum-new-voice": ("en-us+m6", 0.15, ["can you tell me five plus five"], 0),
    "hello": ("en-gb-scotland", 0.3, ["hello there"], 0),
    "who": ("en-us+f5", 0.2, ["who are you"], 0),
    "name": ("en-us-nyc", 0.4, ["what is your name"], 0),
    "can": ("en-029+m7", 0.1, ["what can you do"], 0),
    "private": ("en-us+adam", 0.35, ["is this private"], 0),
    "joke": ("en-gb-x-gbclan+f1", 0.2, ["tell me a joke"], 0),
    "thanks": ("en-us+rob", 0.3, ["thank you very much"], 0),
    "goodbye-greeted": ("en-us+linda", 2.9, ["goodbye Parley"], 0),
    "say-river": ("en-us+steph", 0.2, ["please say river"], 0),
    "say-elephant": ("en-gb-x-rp+f2", 0.3, ["repeat elephant"], 0),
    "count": ("en-us+m1", 0.2, ["please count to four"], 0),
    "count-stopped": ("en-us+f3", 0.2, ["count to ten", (2.6, "okay stop")], 0),
    "out-of-its-field": ("en-us+victor", 0.1, ["my uncle paints old pictures"], 0),
    "flite-in-noise": ("flite slt", 0.2, ["are you a robot"], 1),
    "sum-and": ("en-us+m8", 0.3, ["and what is four plus six"], 0),
    "sum-so": ("en-gb-scotland+f3", 0.2, ["so what is seven minus two"], 0),
    "sum-eight": ("en-us+grandpa", 0.1, ["how much is two times eight"], 0),
    "sum-bare": ("en-us+michel", 0.35, ["eight minus eight"], 0),
    "sum-nought": ("en-029+f1", 0.2, ["what is zero plus five"], 0),
    "sum-six": ("en-gb-x-rp+klatt2", 0.25, ["calculate six times six"], 0),
    "sum-ten": ("en-us-nyc+m2", 0.15, ["what is ten plus ten"], 0),
    "sum-slt": ("flite slt", 0.3, ["what is five plus three"], 0),
    "sum-awb": ("flite awb", 0.2, ["what is nine plus one"], 0),
    "hi": ("flite rms", 0.4, ["hi there"], 0),
    "evening": ("en-us+f2", 0.2, ["good evening"], 0),
    "thanks-a-lot": ("en-gb-x-rp+m4", 0.3, ["thanks a lot"], 0),
    "later-greeted": ("en-us+pedro", 2.7, ["see you later"], 0),
    "feel": ("en-us+aunty", 0.2, ["how are you"], 0),
    "big": ("en-gb-x-gbclan+m5", 0.3, ["how big are you"], 0),
    "live": ("en-us+ed", 0.2, ["where do you live"], 0),
    "listening": ("flite kal16", 0.25, ["are you listening"], 0),
    "network": ("en-us+quincy", 0.1, ["do you need the internet"], 0),
    "call": ("en-029+m3", 0.3, ["what should I call you"], 0),
    "real": ("en-us+m6", 0.2, ["are you real"], 0),
    "learn": ("en-gb-scotland+m1", 0.2, ["how did you learn"], 0),
    "say-coffee": ("en-us+travis", 0.3, ["say coffee"], 0),
    "say-winter": ("flite awb", 0.2, ["please say winter"], 0),
    "say-computer": ("en-us+f4", 0.15, ["repeat computer"], 0),
    "say-yellow": ("en-us-nyc+f5", 0.3, ["can you say yellow"], 0),
    "count-seven": ("en-gb-x-rp+m7", 0.2, ["count to seven"], 0),
    "count-interrupted": ("en-us+m3", 0.2, ["count to ten", (2.4, "what is two plus two")], 0),
    "nobody": ("en-us", 1.0, [], 0),
    "weather": ("en-us+robert", 0.2, ["what is the weather today"], 0),
    "say-in-noise": ("en-us+m1", 0.2, ["say orange"], 2),
}


# --- the questions ------------------------------------------------------------------------------

def spoken(text, voice, pitch):
    """The words alone, with a peak of 0.1: as quiet as it was trained on, for small files."""
    if voice.startswith("flite "):
        x = voices.say(text, dict(program=voice, size=1.0, stretch=0.9 + pitch / 250)).pcm
    else:
        x = espeak.say(text, voice, 138, pitch, 45).pcm
    a, b = audio.speech_span(x)
    return x[a:b] * (0.1 / np.abs(x[a:b]).max())


def question(name, pitch):
    """-> int16 [n], whole frames"""
    voice, before_s, parts, background = QUESTIONS[name]
    sounds = [np.zeros(round(before_s * RATE), np.float32)]
    for part in parts:
        wait_s, text = part if isinstance(part, tuple) else (0, part)
        sounds += [np.zeros(round(wait_s * RATE), np.float32), spoken(text, voice, pitch)]
    tail_s = NOISY_TAIL_S if background else TAIL_S
    x = np.concatenate(sounds + [np.zeros(round(tail_s * RATE), np.float32)])
    x = x[:len(x) // FRAME * FRAME]
    x = x + rooms.background(np.random.default_rng(pitch), len(x), rooms.NAMES[background])
    return audio.to_int16(x)


# --- the official package -----------------------------------------------------------------------

class Margins:
    """Between the largest and the second logit of every greedy decision, text and audio apart."""

    def __init__(self, lm):
        self.text_card = lm.text_card
        self.smallest = {"text": np.inf, "audio": np.inf}
        self.sample_token = moshi_lm.sample_token

    def __enter__(self):
        def watched(logits, *args, **kwargs):
            kind = "text" if logits.shape[-1] == self.text_card else "audio"
            top = logits.float().topk(2, -1).values
            gap = (top[..., 0] - top[..., 1]).min().item()
            self.smallest[kind] = min(self.smallest[kind], gap)
            return self.sample_token(logits, *args, **kwargs)
        moshi_lm.sample_token = watched
        return self.smallest

    def __exit__(self, *_):
        moshi_lm.sample_token = self.sample_token


def run_inference(lm, heard):
    """heard [8, F] -> said [9, F + 1 - max(delays)], as moshi.run_inference does, greedily."""
    said = []
    gen = LMGen(lm, use_sampling=False)
    with gen.streaming(1):
        for f in range(heard.shape[1]):
            codes = heard[None, :, f:f + 1]
            if f == 0:
                assert gen.step(codes) is None
            tokens = gen.step(codes)
            if tokens is not None:
                said.append(tokens[0, :, 0])
    return torch.stack(said, 1)


def words(tokenizer, tokens):
    """The lines of NAME.jsonl."""
    return [{"frame": f, "token": t, "text": tokenizer.id_to_piece(t).replace("\u2581", " ")}
            for f, t in enumerate(tokens.tolist()) if t not in (0, 3)]


def sentence(lines):
    return "".join(line["text"] for line in lines).strip()


def answer(official, pcm, near_is_fine=False):
    """int16 [n] -> heard, said, words, margins; Near where a decision could go another way"""
    mimi, lm, tokenizer = official
    latent, heard = mimi_encode(mimi, torch.from_numpy(audio.to_float(pcm)))
    check_codes(mimi, latent, heard, 0 if near_is_fine else CODEC_MARGIN)
    with Margins(lm) as margins:
        said = run_inference(lm, heard)
    near = margins["text"] < TEXT_MARGIN or margins["audio"] < AUDIO_MARGIN
    if near and not near_is_fine:
        raise Near(f"text {margins['text']:.1e}, audio {margins['audio']:.1e}")
    return heard, said, words(tokenizer, said[0]), margins


# --- files --------------------------------------------------------------------------------------

def read(path):
    return soundfile.read(path, dtype="int16")[0]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_one(name):
    """In a process of the pool: the question in the first pitch without a near tie. -> facts"""
    official = opened()[1]
    for pitch in range(40, 40 + TRIES):
        pcm = question(name, pitch)
        try:
            heard, said, lines, margins = answer(official, pcm)
            break
        except Near as near:
            print(f"  {name}, pitch {pitch}: {near}", flush=True)
    else:
        raise SystemExit(f"{name}: no pitch without a near tie")
    soundfile.write(GOLDEN / f"{name}.flac", pcm, RATE, subtype="PCM_16", compression_level=1)
    save(GOLDEN / f"{name}.safetensors", {"heard": heard.short(), "said": said.short()})
    (GOLDEN / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    voice, _, parts, _ = QUESTIONS[name]
    print(f"{name}: {sentence(lines)}", flush=True)
    return {"asks": " / ".join(p if isinstance(p, str) else p[1] for p in parts),
            "voice": voice, "pitch": pitch, "frames": heard.shape[1], "answer": sentence(lines),
            "margin_text": round(margins["text"], 5), "margin_audio": round(margins["audio"], 5)}


def make(jobs):
    weights = {f: digest(MODEL / f) for f in ("model.safetensors", "mimi.safetensors")}
    path, facts = GOLDEN / "expect.json", {}
    if path.exists():
        old = json.loads(path.read_text())
        facts = old["questions"] if old["weights"] == weights else {}
    if not facts:
        fresh_folder(GOLDEN)
    left = [name for name in QUESTIONS if name not in facts]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        facts.update(zip(left, pool.imap(make_one, left)))
    packages = ("moshi", "torch", "sentencepiece", "safetensors", "numpy", "scipy", "soundfile")
    save_json(path, {
        "python": platform.python_version(), **{p: version(p) for p in packages},
        "question-sum.wav": sentence(answer(opened()[1], read(QUESTION_SUM), True)[2]),
        "weights": weights, "questions": {name: facts[name] for name in QUESTIONS}})


def program_words(info, pcm):
    """int16 [n] -> text tokens [F], by moshi.run_inference's own loop, but greedily and in f32."""
    state = InferenceState(info, info.get_mimi("cpu"), info.get_text_tokenizer(),
                           info.get_moshi("cpu", torch.float32), 1, 1.0, "cpu", use_sampling=False)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        ((tokens, _),) = state.run(torch.from_numpy(audio.to_float(pcm))[None, None])
    return tokens.flatten()


def check(info, official):
    """The committed answers are what the installed package gives for the committed sounds."""
    failed = 0
    for name in QUESTIONS:
        pcm = read(GOLDEN / f"{name}.flac")
        want = load_file(GOLDEN / f"{name}.safetensors")
        heard, said, _, _ = answer(official, pcm)
        same = (torch.equal(heard.short(), want["heard"]) and
                torch.equal(said.short(), want["said"]) and
                torch.equal(program_words(info, pcm).short(), want["said"][0]))
        print("ok  " if same else "FAIL", name, flush=True)
        failed += not same
    return failed


@functools.cache
def opened():
    """-> the package's description of the model; its codec, language model and tokenizer"""
    torch.set_flush_denormal(True)
    info = checkpoint(MODEL)
    return info, (info.get_mimi("cpu"), info.get_moshi("cpu", torch.float32),
                  info.get_text_tokenizer())


def main():
    parser = argparse.ArgumentParser(description="golden answers of the official package")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--jobs", type=int, default=2, help="questions at a time")
    args = parser.parse_args()
    if args.check:
        return 1 if check(*opened()) else 0
    make(args.jobs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
