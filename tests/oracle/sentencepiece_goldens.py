#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Goldens of the tokenizer: small models of every kind, and what the sentencepiece library makes
of strings and ids with them.

    python3 tests/oracle/sentencepiece_goldens.py            writes tests/golden/tokenizer/
    python3 tests/oracle/sentencepiece_goldens.py --stress build/parley [--rounds N]
                                                             compares fresh strings through the
                                                             command `parley tokenize`

Made with Python 3.11 and sentencepiece 0.2.3. A model is trained on text invented here, some are
then changed by hand (pieces made unused, scores made equal), because the trainer never writes
what the reader must still understand. NAME.cases has a line for each case, in hexadecimal:

    e TEXT ID ID ...      encode
    d TEXT ID ID ...      decode; the text is what the library gives, as bytes
"""

import argparse
import io
import json
import random
import struct
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import sentencepiece as spm

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "golden" / "tokenizer"

WORDS = """hello there my friend the sum of seven and eight is fifteen I can hear you speak slowly
please count to ten stop now thank you good morning what is your name café naïve
Straße Übermut façade señor coöperate 東京 大阪 こんにちは 世界 привет мир Ωμέγα שלום नमस्ते
one two three 2024 1999 3.14 100% a-b-c e.g. don't they're (maybe) [yes] {no} <tag> x=y+z
""".split()

# ---- protobuf, as little of it as is needed to change a trained model ----


def varint(v):
    out = b""
    while True:
        out += bytes([v & 0x7F | (0x80 if v > 0x7F else 0)])
        v >>= 7
        if not v:
            return out


def read_varint(b, i):
    v = s = 0
    while True:
        v |= (b[i] & 0x7F) << s
        s += 7
        i += 1
        if b[i - 1] < 0x80:
            return v, i


def fields(b):
    """[(number, kind, value)] of one message."""
    out, i = [], 0
    while i < len(b):
        key, i = read_varint(b, i)
        kind = key & 7
        if kind == 0:
            v, i = read_varint(b, i)
        elif kind == 2:
            n, i = read_varint(b, i)
            v, i = b[i : i + n], i + n
        else:
            n = {1: 8, 5: 4}[kind]
            v, i = b[i : i + n], i + n
        out.append((key >> 3, kind, v))
    return out


def message(fs):
    out = b""
    for number, kind, v in fs:
        out += varint(number << 3 | kind)
        out += varint(v) if kind == 0 else varint(len(v)) + v if kind == 2 else v
    return out


def change_pieces(model, change):
    """change(index, {1: text, 2: score bytes, 3: type}) edits each piece in place."""
    out, k = [], 0
    for number, kind, v in fields(model):
        if number == 1:
            p = {n: x for n, _, x in fields(v)}
            change(k, p)
            k += 1
            kinds = {1: 2, 2: 5, 3: 0}
            v = message([(n, kinds[n], p[n]) for n in sorted(p)])
        out.append((number, kind, v))
    return message(out)


def change_spec(model, part, changes):
    """Members of the trainer's (2) or the normaliser's (3) part: {number: varint or bytes}."""
    out = []
    for number, kind, v in fields(model):
        if number == part:
            fs = [f for f in fields(v) if f[0] not in changes]
            fs += [(n, 0 if isinstance(x, int) else 2, x) for n, x in changes.items()]
            v = message(fs)
        out.append((number, kind, v))
    return message(out)


# ---- models ----


def sentences(rnd, n):
    return [" ".join(rnd.choices(WORDS, k=rnd.randint(2, 12))) for _ in range(n)]


def train(rnd, **kw):
    out = io.BytesIO()
    opts = dict(
        vocab_size=220,
        hard_vocab_limit=False,
        character_coverage=0.98,
        num_threads=1,
        minloglevel=2,
        normalization_rule_name="identity",
    )
    opts.update(kw)
    if opts.get("normalization_rule_tsv"):
        del opts["normalization_rule_name"]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences(rnd, 400)), model_writer=out, **opts
    )
    no_path = {6: b""}  # the rule file's name is another one each time
    return change_spec(change_spec(out.getvalue(), 3, no_path), 5, no_path)


KEPT = []  # rule files, there until the script ends


def tsv(pairs):
    """A rule file: code points in hexadecimal, a tab, code points."""
    def cps(s):
        return " ".join("%X" % ord(c) for c in s)

    f = tempfile.NamedTemporaryFile("w", suffix=".tsv")
    f.write("".join("%s\t%s\n" % (cps(a), cps(b)) for a, b in pairs))
    f.flush()
    KEPT.append(f)
    return f.name


RULES = [("\t", " "), ("\n", " "), ("\r", " "), ("\r\n", " "), ("\u3000", " "), ("ﬁ", "fi"),
         ("ﬀ", "ff"), ("Ａ", "A"), ("Ｂ", "B"), ("e\u0301", "é"), ("o\u0308", "ö"), ("\u200b", ""),
         ("\u00ad", ""), ("…", "..."), ("㍿", "株式会社"), ("x", " x "), ("ab", "c"), ("abc", "d")]
UNRULES = [("é", "e"), ("...", "…"), ("ö", "oe")]

SYMBOLS = ["<|im_start|>", "<sep>", "[yes]", "▁und▁", "ab", "abab", " x", "不"]


def unused_and_ties(model, every, tie):
    def change(k, p):
        if p.get(3, 1) != 1:
            return
        if k % every == 0 and len(p[1]) > 1:
            p[3] = 5
        if k % tie == 0:
            p[2] = struct.pack("<f", -7.0)
    return change_pieces(model, change)


def with_score(model, score):
    def change(k, p):
        if p.get(3, 1) == 1:
            p[2] = struct.pack("<f", score(k, p[1]))
    return change_pieces(model, change)


def models(seed=1):
    rnd = random.Random(seed)
    bytes_on = dict(byte_fallback=True, vocab_size=480)
    out = {}
    out["unigram_plain"] = train(rnd)
    out["unigram_bytes"] = train(rnd, **bytes_on)
    out["unigram_rules"] = train(rnd, normalization_rule_tsv=tsv(RULES))
    out["unigram_symbols"] = train(
        rnd, user_defined_symbols=SYMBOLS, control_symbols=["<ctl>", "<pad>"], **bytes_on
    )
    out["unigram_no_prefix"] = train(rnd, add_dummy_prefix=False, **bytes_on)
    out["unigram_blanks"] = train(rnd, remove_extra_whitespaces=False)
    out["unigram_blanks_no_prefix"] = train(
        rnd, remove_extra_whitespaces=False, add_dummy_prefix=False
    )
    out["unigram_suffix"] = train(rnd, treat_whitespace_as_suffix=True, **bytes_on)
    out["unigram_digits"] = train(rnd, split_digits=True, unk_surface="<?>", **bytes_on)
    out["unigram_unused"] = unused_and_ties(out["unigram_bytes"], 5, 3)
    out["unigram_positive"] = with_score(
        out["unigram_symbols"], lambda k, p: (k * 37 % 101) / 9.0 - 4.0
    )
    out["unigram_flat"] = with_score(out["unigram_plain"], lambda k, p: -0.1 * len(p))
    out["unigram_denormal"] = train(rnd, denormalization_rule_tsv=tsv(UNRULES))
    out["unigram_raw_blanks"] = change_spec(out["unigram_plain"], 3, {5: 0})
    out["bpe_bytes"] = train(rnd, model_type="bpe", **bytes_on)
    out["bpe_plain"] = train(rnd, model_type="bpe")
    out["bpe_symbols"] = train(
        rnd, model_type="bpe", user_defined_symbols=SYMBOLS, control_symbols=["<ctl>"], **bytes_on
    )
    out["bpe_unused"] = unused_and_ties(out["bpe_symbols"], 3, 4)
    out["bpe_ties"] = with_score(out["bpe_plain"], lambda k, p: -float(k % 3))
    out["bpe_gemma"] = train(
        rnd, model_type="bpe", remove_extra_whitespaces=False, add_dummy_prefix=False,
        split_digits=True, allow_whitespace_only_pieces=True,
        user_defined_symbols=["\n", "\n\n", "▁▁", "▁▁▁▁", "<start_of_turn>"], **bytes_on
    )
    out["char"] = train(rnd, model_type="char", user_defined_symbols=["ab", "<sep>"])
    out["word"] = train(rnd, model_type="word")
    return out


# ---- strings ----

NASTY = [
    b"", b" ", b"   ", b"a", b"\x00", b"a\x00b", b"\t", b"a\tb\r\nc\n", b"\xe2\x96\x81",
    "▁▁a▁ b▁".encode(), b"\xff\xfe", b"\xc3", b"\xc3\x28", b"\xe2\x82", b"\xf0\x9f\x98",
    b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"caf\xe9",
    "é e\u0301 e\u0301\u0323 ÅÅ ﬁ ﬀ Ａ Ｂ ① ㍿ ½ ™ …".encode(), "👩‍👩‍👧‍👦 🏳️‍🌈 🇨🇭".encode(),
    "\u200b\u200d\ufeff\u00ad\u2028\u2029\u0085\u00a0\u3000".encode(), b"a" * 90, b" " * 80 + b"x",
    b"ab" * 40 + b"abc", "ñ".encode() * 60, b"<unk><s></s><pad><ctl><0x41><|im_start|><sep>",
    "<|im_start|>hello<sep><sep>there ▁und▁ und [yes][yes] ab abab ababab x  x 不不".encode(),
    b"<start_of_turn>user\n\n\n\nhi    there        <end_of_turn>", b"1234567890 3.14 1,000",
    "שָׁלוֹם नमस्ते ก็ 각 가".encode(), "\U0010ffff\U000e0001".encode(), b"\xef\xbf\xbd", b"\xef\xbb\xbfhi",
    b"  leading and trailing  ", b"x", b"xx", b" x x ", b"\r\n\r\n",
]


def make_text(rnd):
    kind = rnd.randrange(8)
    if kind == 0:
        return " ".join(rnd.choices(WORDS, k=rnd.randint(1, 9))).encode()
    if kind == 1:
        return rnd.randbytes(rnd.randint(1, 24))
    if kind == 2:
        return "".join(chr(rnd.choice([rnd.randrange(0x20, 0x7F), rnd.randrange(0xA0, 0x3000),
                                       rnd.randrange(0x3000, 0xD800), rnd.randrange(0xE000, 0x11000),
                                       rnd.randrange(0x1F000, 0x1FB00)]))
                       for _ in range(rnd.randint(1, 16))).encode()
    if kind == 3:
        s = bytearray(" ".join(rnd.choices(WORDS, k=6)).encode())
        for _ in range(rnd.randint(1, 4)):
            s[rnd.randrange(len(s))] = rnd.randrange(256)
        return bytes(s)
    if kind == 4:
        parts = [p.decode("utf-8", "replace") for p in NASTY if p and len(p) < 60]
        return "".join(rnd.choices(parts + WORDS + [" ", "  ", "▁"] + SYMBOLS, k=5)).encode()
    if kind == 5:
        w = "".join(rnd.choices(WORDS, k=4))
        return unicodedata.normalize(rnd.choice(["NFD", "NFKD", "NFC"]), w).encode()
    if kind == 6:
        return rnd.choice(WORDS + SYMBOLS + [" ", "a", "ab"]).encode() * rnd.randint(1, 30)
    return "".join(rnd.choices("ab x▁e\u0301\t…不", k=rnd.randint(1, 40))).encode()


def make_ids(rnd, sp, text):
    n = len(sp)
    kind = rnd.randrange(4)
    if kind == 0:
        return [rnd.randrange(n) for _ in range(rnd.randint(0, 16))]
    if kind == 1:
        byte_ids = [i for i in range(n) if sp.is_byte(i)] or [0]
        return rnd.choices(byte_ids + [rnd.randrange(n)], k=rnd.randint(1, 12))
    ids = sp.encode(text)
    if kind == 2 and ids:
        for _ in range(3):
            ids[rnd.randrange(len(ids))] = rnd.randrange(n)
    return ids


def decode_bytes(sp, ids):
    return sp.decode(ids, return_type=bytes) if ids else b""


def encode_ids(sp, text):
    return sp.encode(text)


# ---- goldens ----


def write_cases(path, sp, rnd, n):
    lines = []
    seen = set()
    for text in NASTY + [make_text(rnd) for _ in range(n)]:
        if text in seen:
            continue
        seen.add(text)
        ids = encode_ids(sp, text)
        lines.append(" ".join(["e", text.hex() or "-"] + [str(i) for i in ids]))
        ids = make_ids(rnd, sp, text.decode("utf-8", "replace"))
        if len(ids) < 300:
            out = decode_bytes(sp, ids)
            lines.append(" ".join(["d", out.hex() or "-"] + [str(i) for i in ids]))
    path.write_text("\n".join(lines) + "\n")
    return len(lines)


def write_all():
    OUT.mkdir(parents=True, exist_ok=True)
    rnd = random.Random(7)
    tiny = HERE.parents[1] / "models" / "tiny-voice" / "tokenizer.model"
    for name, model in models().items():
        (OUT / (name + ".model")).write_bytes(model)
        sp = spm.SentencePieceProcessor(model_proto=model)
        print(name, len(sp), "pieces", write_cases(OUT / (name + ".cases"), sp, rnd, 24), "cases")
    sp = spm.SentencePieceProcessor(model_file=str(tiny))
    print("tiny-voice", write_cases(OUT / "tiny-voice.cases", sp, rnd, 80), "cases")


# ---- fresh strings through the command ----


def ask(binary, folder, lines, decode):
    cmd = [binary, "tokenize", "--model", str(folder), "--json"] + (["--decode"] if decode else [])
    out = subprocess.run(cmd, input="".join(json.dumps(x) + "\n" for x in lines).encode(),
                         stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(x) for x in out.splitlines()]


def compare(binary, name, model, rnd, rounds):
    sp = spm.SentencePieceProcessor(model_proto=model)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text('{"tokenizer_name": "t.model"}')
        Path(folder, "t.model").write_bytes(model)
        texts = [make_text(rnd).decode("utf-8", "replace") for _ in range(rounds)]
        ids = [make_ids(rnd, sp, t) for t in texts]
        bad = sum(a != encode_ids(sp, t.encode()) for a, t in zip(ask(binary, folder, texts, False), texts))
        bad += sum(a != decode_bytes(sp, i).decode("utf-8", "replace")
                   for a, i in zip(ask(binary, folder, ids, True), ids))
    print("%-26s %d strings, %d id lists, %d differ" % (name, len(texts), len(ids), bad))
    return bad


def stress(binary, rounds, seed):
    rnd = random.Random(seed)
    bad = 0
    big = dict(vocab_size=900)
    extra = {"unigram_" + r: train(rnd, normalization_rule_name=r, **big)
             for r in ("nmt_nfkc", "nmt_nfkc_cf", "nfkc")}
    extra["bpe_nfkc_cf"] = train(rnd, normalization_rule_name="nfkc_cf", model_type="bpe", **big)
    for name, model in {**models(seed), **extra}.items():
        bad += compare(binary, name, model, rnd, rounds)
    return bad


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--stress", metavar="PARLEY")
    p.add_argument("--rounds", type=int, default=2000)
    p.add_argument("--seed", type=int, default=11)
    a = p.parse_args()
    if a.stress:
        sys.exit(1 if stress(a.stress, a.rounds, a.seed) else 0)
    write_all()


if __name__ == "__main__":
    main()
