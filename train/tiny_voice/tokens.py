# SPDX-License-Identifier: MIT
"""Step 5: the text tokenizer, and the corpus as codec tokens.

Writes tokenizer.model to the run folder, and to its folder codes/:
  user-000.npz ...  codes i16 [8, n] of the questions one after the other, column i64 [clips]
  base.npz          silence i16 [8]: digital silence, once it has settled
                    noise_NAME, loud_NAME i16 [8, n]: backgrounds
                    model i16 [8, n]: all that is spoken in one breath, one after the other, each
                    with TAIL frames of silence
                    echo i16 [ECHOES, 8, n]: the same as a microphone near the loudspeaker hears it
"""

from pathlib import Path

import numpy as np
import sentencepiece
import torch

from . import codec, phrases, rooms, training
from .audio import FRAME
from .corpus import Clips, shards
from .hearing import feature_path
from .speech import babble
from .stem import A_FRAME, Stem, top

PAD, END_OF_PADDING = 3, 0      # text tokens of frames without a word, and of the frame before one
TAIL = 3                        # frames of each reply's codes after its last sound
SETTLE = 30                     # frames of silence encoded ahead of a reply and cut away again
ECHOES = 2
NOISE_FRAMES = 900              # of each background


def reply_words():
    return sorted({w.strip(".,?") for reply in phrases.replies() for w in reply.split()})


def train_tokenizer(run, pieces=2048):
    """A SentencePiece model in which every word of a reply is one piece."""
    prefix = str(Path(run) / "tokenizer")
    lines = phrases.replies() * 4 + reply_words() * 60
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, model_type="unigram", vocab_size=pieces,
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, pad_id=PAD, character_coverage=1.0,
        normalization_rule_name="identity", minloglevel=2,
        required_chars="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'?!-")
    Path(prefix + ".vocab").unlink(missing_ok=True)
    return sentencepiece.SentencePieceProcessor(prefix + ".model")


class Encoder:
    """The exported codec, on sound or on what the stem made of it."""

    def __init__(self, run, device):
        self.mimi, _ = codec.load(run, device)
        self.stem, self.device = Stem(self.mimi, device, run), device

    @torch.no_grad()
    def codes(self, features):
        """[B, 16 T, channels] -> i16 [B, 8, T]"""
        x = torch.from_numpy(features).to(self.device).float().transpose(1, 2)
        return self.mimi.quantizer.encode(top(self.mimi, x)).cpu().numpy().astype(np.int16)

    def encode(self, pcm):
        """float32 [n] -> i16 [8, frames]"""
        return self.codes(self.stem(pcm)[None])[0]

    def encode_clips(self, features, spans, batch=64):
        """spans: (first frame, frames) in `features`. -> codes [8, frames] of each"""
        out = [None] * len(spans)
        order = sorted(range(len(spans)), key=lambda i: spans[i][1])
        for k in range(0, len(order), batch):
            ids = order[k:k + batch]
            longest = max(spans[i][1] for i in ids)
            x = np.zeros((len(ids), longest * A_FRAME, features.shape[1]), np.float16)
            for row, i in zip(x, ids):
                first, n = spans[i]
                row[:n * A_FRAME] = features[first * A_FRAME:(first + n) * A_FRAME]
            for i, codes in zip(ids, self.codes(x)):
                out[i] = codes[:, :spans[i][1]]
        return out


def echo(rng, x):
    """What a microphone makes of the loudspeaker beside it."""
    x = rooms.room(rng, x)
    return x * 10 ** (rng.uniform(-38, -10) / 20)


def encode_replies(encoder, clips, change=lambda x: x, settle=SETTLE):
    """-> codes [8, n], each clip after `settle` frames of silence, cut away, and with TAIL after"""
    parts, spans, at = [], [], 0
    for fact in clips.facts:
        x = change(clips.sound(fact["frame"], fact["frames"]))
        parts.append(encoder.stem(np.pad(x, (settle * FRAME, TAIL * FRAME))).astype(np.float16))
        n = len(parts[-1]) // A_FRAME
        spans.append((at, n))
        at += n
    codes = encoder.encode_clips(np.concatenate(parts), spans)
    return np.concatenate([c[:, settle:] for c in codes], 1)


def encode_base(encoder, data, rng):
    arrays = dict(silence=encoder.encode(np.zeros(100 * FRAME, np.float32))[:, -1])
    n, voices = NOISE_FRAMES // 4 + 12, babble(data)
    for kind, names in (("noise", rooms.BACKGROUNDS), ("loud", rooms.LOUD)):
        for name in names:
            span = rooms.BACKGROUNDS[name][0] if kind == "noise" else rooms.LOUD[name]
            parts = [encoder.encode(rooms.noise(rng, n * FRAME, name, span, voices))[:, 12:]
                     for _ in range(4)]
            arrays[f"{kind}_{name}"] = np.concatenate(parts, 1)
    clips = Clips(data, "model")
    arrays["model"] = encode_replies(encoder, clips)
    arrays["echo"] = np.stack([encode_replies(encoder, clips, lambda x: echo(rng, x), 8)
                               for _ in range(ECHOES)])
    return arrays


def entropy(codes, bins=512):
    """codes [8, n] -> bits of each codebook"""
    counts = [np.bincount(row, minlength=bins) / len(row) for row in codes]
    return [round(float(-(p[p > 0] * np.log2(p[p > 0])).sum()), 2) for p in counts]


def tokenise(data, run, device, seed):
    """Turns the corpus into codes; what has been turned before stays."""
    training.prepare(seed)
    folder = Path(run) / "codes"
    folder.mkdir(exist_ok=True)
    if not (folder / "base.npz").exists():
        tokenizer = train_tokenizer(run)
        split = [w for w in reply_words() if len(tokenizer.encode(w)) != 1]
        print(f"tokenizer: {tokenizer.get_piece_size()} pieces; words of more than one: {split}",
              flush=True)
    encoder = Encoder(run, device)
    if not (folder / "base.npz").exists():
        arrays = encode_base(encoder, data, np.random.default_rng(seed + 3))
        save(folder / "base.npz", arrays)
        print(f"model: bits per codebook {entropy(arrays['model'])}", flush=True)
    for name in shards(data):
        path = folder / f"{name}.npz"
        if path.exists() or not feature_path(run, name).exists():
            continue
        facts = Clips(data, name).facts
        spans = [(fact["frame"], fact["frames"]) for fact in facts]
        codes = encoder.encode_clips(np.load(feature_path(run, name), mmap_mode="r"), spans)
        columns = np.cumsum([0] + [c.shape[1] for c in codes[:-1]])
        codes = np.concatenate(codes, 1)
        save(path, dict(codes=codes, column=columns))
        print(f"{name}: {codes.shape[1]} frames, bits per codebook {entropy(codes)}", flush=True)


def save(path, arrays):
    def write(part):
        with open(part, "wb") as f:
            np.savez(f, **arrays)

    training.write_atomically(path, write)
