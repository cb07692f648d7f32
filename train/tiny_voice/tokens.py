# SPDX-License-Identifier: MIT
"""Step 3: the text tokenizer, and what Parley says as codec tokens. These stay from here on.

Writes to the run folder, echo_I.npy to its folder features/:
  tokenizer.model
  codes.npz     silence i16 [8]: digital silence, once it has settled
                model i16 [8, n]: all that is spoken in one breath, one after the other, each with
                TAIL frames of silence
                texts: what it is, in this order
                echoes: how many there are of
  echo_I.npy    f16: the same as a microphone near the loudspeaker hears it, as the stem made it
"""

from pathlib import Path

import numpy as np
import sentencepiece
import torch

from . import codec, phrases, rooms, training
from .audio import FRAME
from .bank import TAIL, feature_path
from .corpus import Clips
from .stem import A_FRAME, Stem, top

PAD, END_OF_PADDING = 3, 0      # text tokens of frames without a word, and of the frame before one
SETTLE = 30                     # frames of silence encoded ahead of a reply and cut away again
ECHOES = 3


def reply_words():
    return sorted({w.strip(".,?") for reply in phrases.replies() for w in reply.split()})


def train_tokenizer(run, pieces=2048):
    """A SentencePiece model in which every word of a reply is one piece, always the same."""
    prefix = str(Path(run) / "tokenizer")
    lines = phrases.replies() * 4 + reply_words() * 60
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, model_type="unigram", vocab_size=pieces,
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, pad_id=PAD, character_coverage=1.0,
        normalization_rule_name="identity", minloglevel=2,
        required_chars="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'?!-")
    Path(prefix + ".vocab").unlink(missing_ok=True)
    tokenizer = sentencepiece.SentencePieceProcessor(prefix + ".model")
    split = [w for w in reply_words() if len(tokenizer.encode(w)) != 1]
    print(f"tokenizer: {tokenizer.get_piece_size()} pieces; words of more than one: {split}",
          flush=True)


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


def encode_replies(encoder, clips):
    """-> codes [8, n], each clip after SETTLE frames of silence, cut away, and with TAIL after"""
    parts, spans, at = [], [], 0
    for fact in clips.facts:
        x = clips.sound(fact["frame"], fact["frames"])
        parts.append(encoder.stem(np.pad(x, (SETTLE * FRAME, TAIL * FRAME))).astype(np.float16))
        n = len(parts[-1]) // A_FRAME
        spans.append((at, n))
        at += n
    codes = encoder.encode_clips(np.concatenate(parts), spans)
    return np.concatenate([c[:, SETTLE:] for c in codes], 1)


def hear_replies(stem, clips, rng):
    """The features of everything that Parley says, through rooms and microphones."""
    parts = []
    for fact in clips.facts:
        x = echo(rng, clips.sound(fact["frame"], fact["frames"]))
        parts.append(stem(np.pad(x, (0, TAIL * FRAME))).astype(np.float16))
    return np.concatenate(parts)


def entropy(codes, bins=512):
    """codes [8, n] -> bits of each codebook"""
    counts = [np.bincount(row, minlength=bins) / len(row) for row in codes]
    return [round(float(-(p[p > 0] * np.log2(p[p > 0])).sum()), 2) for p in counts]


def known_codes(source, clips):
    """-> silence [8], replies [8, n]: the codes that the weights in `source` have for the same
    replies; None: they have none"""
    path = Path(source or "") / "codes.npz"
    if not source or not path.exists():
        return None
    known = np.load(path)
    frames = sum(fact["frames"] + TAIL for fact in clips.facts)
    if list(known["texts"]) != texts(clips) or known["model"].shape[1] != frames:
        print(f"model: other replies than those of {source}", flush=True)
        return None
    return known["silence"], known["model"]


def texts(clips):
    return [fact["text"] for fact in clips.facts]


def tokenise(data, run, device, seed, source=None):
    """`source`: a model whose decoder and language model know codes of the replies already."""
    training.prepare(seed)
    run, rng, clips = Path(run), np.random.default_rng(seed + 3), Clips(data, "model")
    train_tokenizer(run)
    feature_path(run, "x").parent.mkdir(exist_ok=True)
    encoder = Encoder(run, device)
    for i in range(ECHOES):
        training.write_array(feature_path(run, f"echo_{i}"), hear_replies(encoder.stem, clips, rng))
    silence, model = known_codes(source, clips) or (
        encoder.encode(np.zeros(100 * FRAME, np.float32))[:, -1], encode_replies(encoder, clips))
    print(f"model: bits per codebook {entropy(model)}", flush=True)
    np.savez_compressed(run / "codes.npz", silence=silence, model=model, echoes=ECHOES,
                        texts=texts(clips))


def own_codes(run):
    """-> i64 [8], [8, n]: Parley's codes while it says nothing, and of everything it says"""
    codes = np.load(Path(run) / "codes.npz")
    return tuple(torch.from_numpy(codes[name].astype(np.int64)) for name in ("silence", "model"))
