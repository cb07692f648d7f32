# SPDX-License-Identifier: MIT
"""Step 3: the text tokenizer, and the corpus as codec tokens.

Writes tokenizer.model to the run folder and codes.npz to the data folder:
  silence i16 [8]             the codes of digital silence, once they have settled
  noise   i16 [5, 8, n]       backgrounds, rooms.BACKGROUNDS
  model   i16 [8, n]          every reply and sum piece one after the other, each with TAIL frames
                              of silence
  user    i16 [8, n]          the training questions one after the other
  table   i64 [clips, 4]      of each question: its number in user.json, its first and last (one
                              past) frame there, its first column in `user`
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import sentencepiece
import torch

from . import codec, phrases, rooms, training
from .audio import FRAME, frame_of
from .corpus import Clips

PAD, END_OF_PADDING = 3, 0      # text tokens of frames without a word, and of the frame before one
TAIL = 3                        # frames of each reply's codes after its last sound
SETTLE = 30                     # frames of silence encoded ahead of a reply and cut away again
BEFORE, AFTER = 8, 7            # frames kept before and after a question


def reply_words():
    return sorted({w.strip(".,?") for reply in phrases.replies() for w in reply.split()})


def train_tokenizer(run, pieces=512):
    """A SentencePiece model in which every word of a reply is one piece."""
    prefix = str(Path(run) / "tokenizer")
    lines = phrases.replies() * 4 + reply_words() * 60 + list(phrases.user_vocabulary())
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=prefix, model_type="unigram", vocab_size=pieces,
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, pad_id=PAD, character_coverage=1.0,
        normalization_rule_name="identity", minloglevel=2,
        required_chars="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'?!-")
    Path(prefix + ".vocab").unlink(missing_ok=True)
    return sentencepiece.SentencePieceProcessor(prefix + ".model")


class Encoder:
    """The exported codec on whole clips, each from a fresh state."""

    def __init__(self, run, device):
        self.mimi, _ = codec.load(run, device)
        self.device = device

    @torch.no_grad()
    def encode(self, x):
        """float [B, n] -> i16 [B, 8, frames]"""
        x = torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(self.device)[:, None]
        return self.mimi.encode(x).cpu().numpy().astype(np.int16)

    def encode_clips(self, clips, spans, before=0, after=0, batch=32):
        """spans: (first frame, frames) in `clips`. -> codes [8, frames + after] of each

        `before` frames of silence are encoded ahead of a clip and cut away; `after` frames behind
        it stay.
        """
        out = [None] * len(spans)
        order = sorted(range(len(spans)), key=lambda i: spans[i][1])

        def work(ids):
            longest = max(spans[i][1] for i in ids)
            x = np.zeros((len(ids), (before + longest + after) * FRAME), np.float32)
            for row, i in zip(x, ids):
                sound = clips.sound(*spans[i])
                row[before * FRAME:before * FRAME + len(sound)] = sound
            for i, codes in zip(ids, self.encode(x)):
                out[i] = codes[:, before:before + spans[i][1] + after]

        # whole batches side by side, each on one thread: nobody waits for a neighbour inside an
        # operation
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with ThreadPoolExecutor(threads if self.device == "cpu" else 1) as pool:
            list(pool.map(work, [order[i:i + batch] for i in range(0, len(order), batch)]))
        torch.set_num_threads(threads)
        return out


def entropy(codes, bins=512):
    """codes [8, n] -> bits of each codebook"""
    shares = [np.bincount(row, minlength=bins) / len(row) for row in codes]
    return [round(float(-(p[p > 0] * np.log2(p[p > 0])).sum()), 2) for p in shares]


def tokenise(data, run, device, limit, seed):
    """Turns the corpus into codes; `limit` questions of the training, 0: all."""
    training.prepare(seed)
    tokenizer = train_tokenizer(run)
    split = [w for w in reply_words() if len(tokenizer.encode(w)) != 1]
    print(f"tokenizer: {tokenizer.get_piece_size()} pieces; words of more than one: {split}",
          flush=True)
    encoder, rng = Encoder(run, device), np.random.default_rng(seed + 3)
    silence = encoder.encode(np.zeros((1, 100 * FRAME)))[0, :, -1]
    noise = []
    for kind in range(len(rooms.BACKGROUNDS)):
        x = np.stack([rooms.background(rng, 250 * FRAME, kind) for _ in range(4)])
        noise.append(np.concatenate(list(encoder.encode(x)[:, :, 12:]), 1))
    model_clips = Clips(data, "model")
    spans = [(fact["frame"], fact["frames"]) for fact in model_clips.facts]
    model = encoder.encode_clips(model_clips, spans, before=SETTLE, after=TAIL)
    user_clips, spans, rows = Clips(data, "user"), [], []
    for i, fact in enumerate(user_clips.facts):
        if fact["split"] != "train" or (limit and len(rows) == limit):
            continue
        first = max(0, frame_of(fact["start"]) - BEFORE)
        last = min(fact["frames"], frame_of(fact["end"]) + AFTER)
        spans.append((fact["frame"] + first, last - first))
        rows.append((i, first, last))
    user = encoder.encode_clips(user_clips, spans)
    columns = np.cumsum([0] + [codes.shape[1] for codes in user])
    table = np.array([(*row, column) for row, column in zip(rows, columns)])
    user, model = np.concatenate(user, 1), np.concatenate(model, 1)
    training.write_atomically(Path(data) / "codes.npz", lambda path: save(
        path, silence=silence, noise=np.stack(noise), model=model, user=user, table=table))
    for name, codes in (("user", user), ("model", model)):
        print(f"{name}: {codes.shape[1]} frames, bits per codebook {entropy(codes)}", flush=True)


def save(path, **arrays):
    with open(path, "wb") as f:
        np.savez(f, **arrays)
