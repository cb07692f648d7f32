#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Parley against the official package on fifty spoken questions, at temperature 0.

    tests/e2e/tiny_voice.py [PARLEY]          default build/parley

For each question of tests/golden/tiny-voice: `parley talk` writes the same words on the same
frames, byte for byte; `parley codec encode` hears the same codes; and the sound of the talk is that
of the official codes, as `parley codec decode` renders them. Prints `ok NAME` or `FAIL NAME
reason`, exits 1 on a failure. Python's own library only; tests/oracle/tiny_voice.py made the
answers.
"""

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "tiny-voice"
MODEL = ROOT / "models" / "tiny-voice"
FRAME = 1920
SOUND_NEAR = 1e-4               # samples; both are made by the same program


class Failure(Exception):
    """One sentence that says what differs."""


def read_safetensors(path):
    """-> {name: (shape, tuple of numbers)} of I16, I32 and F32 tensors"""
    data = Path(path).read_bytes()
    n = struct.unpack_from("<Q", data)[0]
    out = {}
    for name, facts in json.loads(data[8:8 + n]).items():
        if name == "__metadata__":
            continue
        begin, end = facts["data_offsets"]
        kind, size = {"I16": ("h", 2), "I32": ("i", 4), "F32": ("f", 4)}[facts["dtype"]]
        values = struct.unpack_from(f"<{(end - begin) // size}{kind}", data, 8 + n + begin)
        out[name] = (tuple(facts["shape"]), values)
    return out


def write_codes(path, shape, values):
    """`codes` i32 as `parley codec decode` reads them."""
    facts = {"dtype": "I32", "shape": shape, "data_offsets": [0, 4 * len(values)]}
    head = json.dumps({"codes": facts}).encode()
    head += b" " * (-len(head) % 8)
    body = struct.pack(f"<{len(values)}i", *values)
    Path(path).write_bytes(struct.pack("<Q", len(head)) + head + body)


def read_wav(path):
    """A mono WAV of f32 samples -> tuple of floats"""
    data = Path(path).read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise Failure(f"{path} is no WAV")
    at, form = 12, None
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            form = struct.unpack_from("<HHIIHH", data, at + 8)
        if name == b"data":
            if form is None or form[1] != 1 or form[2] != 24000 or form[5] != 32:
                raise Failure(f"{path} is not mono f32 at 24 kHz: {form}")
            return struct.unpack_from(f"<{size // 4}f", data, at + 8)
        at += 8 + size + size % 2
    raise Failure(f"{path} has no samples")


def run(*command):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=300)
    if done.returncode != 0:
        why = f"exit {done.returncode}, {done.stderr.strip()}"
        raise Failure(f"{' '.join(map(str, command[1:3]))}: {why}")


def same_words(got, want):
    got, want = got.read_text().splitlines(), want.read_text().splitlines()
    for i in range(max(len(got), len(want))):
        a = json.loads(got[i]) if i < len(got) else None
        b = json.loads(want[i]) if i < len(want) else None
        if a != b:
            raise Failure(f"word {i}: {a}, the reference says {b}")


def same_codes(got, want):
    """[8, F] both; the first frame that differs is named"""
    (shape, values), (want_shape, want_values) = got, want
    if shape != want_shape:
        raise Failure(f"codes have the shape {shape}, the reference's {want_shape}")
    wrong = [i for i, (a, b) in enumerate(zip(values, want_values)) if a != b]
    if wrong:
        frame, book = min((i % shape[1], i // shape[1]) for i in wrong)
        raise Failure(f"{len(wrong)} codes heard differ, first in frame {frame}, codebook {book}")


def same_sound(got, want, frames):
    if len(got) != frames * FRAME or len(want) != len(got):
        raise Failure(f"{len(got)} samples said, {len(want)} decoded, {frames * FRAME} due")
    worst = 0.0
    for i, (a, b) in enumerate(zip(got, want)):
        if not abs(a - b) <= SOUND_NEAR:            # also where one is not a number
            raise Failure(f"sound differs in frame {i // FRAME}: {a} said, {b} decoded")
        worst = max(worst, abs(a - b))
    return worst


def ask(parley, name, folder):
    question, heard, said, words, decoded = (
        folder / f for f in ("codes.safetensors", "heard.safetensors", "said.wav", "words.jsonl",
                             "decoded.wav"))
    sound = GOLDEN / f"{name}.flac"
    golden = read_safetensors(GOLDEN / f"{name}.safetensors")
    run(parley, "codec", "encode", sound, heard, "--model", MODEL)
    same_codes(read_safetensors(heard)["codes"], golden["heard"])
    run(parley, "talk", "--model", MODEL, "--in", sound, "--out", said, "--text", words,
        "--temperature", "0")
    same_words(words, GOLDEN / f"{name}.jsonl")
    (streams, frames), values = golden["said"]
    write_codes(question, [streams - 1, frames], values[frames:])
    run(parley, "codec", "decode", question, decoded, "--model", MODEL)
    return same_sound(read_wav(said), read_wav(decoded), frames)


def main():
    parley = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "parley").resolve()
    if not parley.exists():
        sys.exit(f"{parley} is not there: make")
    expect = json.loads((GOLDEN / "expect.json").read_text())
    for name, digest in expect["weights"].items():
        if hashlib.sha256((MODEL / name).read_bytes()).hexdigest() != digest:
            print(f"FAIL tiny-voice: {name} is not the one the answers were made with; "
                  "run tests/oracle/tiny_voice.py")
            return 1
    failed = 0
    for name, facts in expect["questions"].items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                worst = ask(parley, name, Path(folder))
                print(f"ok tiny-voice {name}: \"{facts['answer']}\", sound within {worst:.0e}",
                      flush=True)
            except (Failure, subprocess.TimeoutExpired) as why:
                failed += 1
                print(f"FAIL tiny-voice {name}: {why}", flush=True)
    n = len(expect["questions"])
    print(f"{n - failed} of {n} questions: every word, frame, code heard and sample said is the "
          "official package's")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
