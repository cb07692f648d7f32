# SPDX-License-Identifier: MIT
"""Step 4: the codec learns to hear anybody and the language model to listen, as one network.

The lower part of the encoder stays (stem.py); what it makes of every clip is computed once. The
upper part, the codebooks and the temporal transformer of the language model then hear conversations
of questions of all synthesisers, each answered in writing at once (dialogues.drill): the gradient
of the answers goes through the codes into the encoder. The first codebook, and all together, must
also name the phonemes, and the transformer each word when it is over.

The codebooks stay, so that what Parley says stays the same codes with the same sound: neither the
decoder nor the language model has to learn again how Parley speaks. Its own voice keeps its
latents, about, and so most of its codes when it is encoded again.

While they learn together the transformer reads the vectors that the codes stand for, by one matrix
for the first codebook and one for all others, and of each code what the matrix does not say. In the
end both together are the language model's table of embeddings: nothing else changes for it, and a
language model that has such tables goes on where it was.
"""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import codec, dialogues, language_model, rooms, tokens, training
from .audio import FRAME, FRAME_RATE
from .bank import Bank, feature_path
from .corpus import LABELS_A_FRAME, Clips, shards
from .speech import babble
from .stem import A_FRAME, CUT, Stem, top
from .voices import PHONES, UNKNOWN

SLOTS, LAG = 6, 4               # a frame names six 20 ms slots, four of the frame before it
RECORDINGS, LENGTH = 24, 420    # of each background, frames of each
PIECE = 30                      # frames of Parley's own voice
MUTE = 0.1                      # share of the conversations heard by the first codebook alone
SPEAKS = 0.3                    # share of the conversations in which it speaks all the while
WRONG = 0.06                    # most frames whose codes are another conversation's
PHONE_WEIGHT, OWN_WEIGHT = 0.5, 0.1     # of naming phonemes: the users', those of its own voice
ANSWER_WEIGHT = 2.0
HEADS_FIRST, HEADS_RATE = 40, 3e-3      # steps of the heads alone before weights go on, their rate
STAY_WEIGHT, COMMIT_WEIGHT = 2.0, 0.1   # of keeping its own voice's latents, of nearness to codes


def compute_backgrounds(stem, data, run, seed):
    """Recordings of every background, each from a stream's first sample on."""
    rng, voices = np.random.default_rng([seed, 4]), babble(data)
    behind = {name: span for name, (span, _) in rooms.BACKGROUNDS.items()} | rooms.CROWDS
    for kind, table in (("noise", behind), ("loud", rooms.LOUD)):
        for name, span in table.items():
            path = feature_path(run, f"{kind}_{name}")
            if not path.exists():
                training.write_array(path, np.stack([
                    stem(rooms.noise(rng, LENGTH * FRAME, name, span, voices)).astype(np.float16)
                    for _ in range(RECORDINGS)]))


def compute_features(data, run, device, seed, jobs=2):
    """Runs the stem over every background and every file of the corpus that has no features yet,
    or those of an earlier corpus."""
    mimi, _ = codec.load(run, device)
    stem = Stem(mimi, device, run)
    compute_backgrounds(stem, data, run, seed)
    for name in ["model", *shards(data)]:
        path = feature_path(run, name)
        clips = Clips(data, name)
        frames = sum(fact["frames"] for fact in clips.facts)
        if path.exists() and len(np.load(path, mmap_mode="r")) == frames * A_FRAME:
            continue
        part = path.with_suffix(".part.npy")
        out = np.lib.format.open_memmap(part, "w+", np.float16,
                                        (frames * A_FRAME, stem.channels))

        def work(facts):
            for fact, x in zip(facts, stem.many([clips.sound(f["frame"], f["frames"])
                                                 for f in facts])):
                out[fact["frame"] * A_FRAME:(fact["frame"] + fact["frames"]) * A_FRAME] = x

        order = sorted(clips.facts, key=lambda fact: fact["frames"])
        with ThreadPoolExecutor(jobs if stem.lib else 1) as pool:
            list(pool.map(work, [order[i:i + 64] for i in range(0, len(order), 64)]))
        out.flush()
        part.rename(path)
        print(f"features of {name}: {frames / FRAME_RATE:.0f} s", flush=True)


class OwnVoice:
    """Pieces of what Parley says."""

    def __init__(self, data, run):
        self.clips = Clips(data, "model")
        self.features = np.load(feature_path(run, "model"), mmap_mode="r")

    def pieces(self, rng, n):
        """-> features [n, 16 * PIECE, C], labels [n, 4 * PIECE]"""
        facts = self.clips.facts
        x = np.zeros((n, PIECE * A_FRAME, self.features.shape[1]), np.float16)
        labels = np.full((n, PIECE * LABELS_A_FRAME), UNKNOWN, np.uint8)
        for row, names in zip(x, labels):
            fact = facts[rng.integers(len(facts))]
            m = min(PIECE, fact["frames"])
            first = fact["frame"] + int(rng.integers(fact["frames"] - m + 1))
            row[:m * A_FRAME] = self.features[first * A_FRAME:(first + m) * A_FRAME]
            names[:m * LABELS_A_FRAME] = self.clips.names(first, m)
        return x, labels


def slots(labels):
    """[B, 4 T] -> [B, T, SLOTS]: of frame t the slots 4 t - LAG and the five after it"""
    return F.pad(labels, (LAG, SLOTS), value=UNKNOWN).unfold(1, SLOTS, LABELS_A_FRAME)[
        :, :labels.shape[1] // LABELS_A_FRAME]


class Heads(nn.Module):
    """What must be read from the codes; exists only in training."""

    def __init__(self, dim):
        super().__init__()

        def phones():
            return nn.Sequential(nn.Linear(dim, 256), nn.ReLU(),
                                 nn.Linear(256, SLOTS * len(PHONES)))

        self.first, self.all = phones(), phones()

    def forward(self, first, total):
        """[B, dim, T] each -> phonemes from the first codebook, from all"""
        shape = (SLOTS, len(PHONES))
        return (self.first(first.transpose(1, 2)).unflatten(2, shape),
                self.all(total.transpose(1, 2)).unflatten(2, shape))


class Reader(nn.Module):
    """The language model's tables of a user's codes, while the encoder learns.

    What a code means is its vector times a matrix, through which the gradient reaches the encoder,
    and what the matrix does not say of it.
    """

    def __init__(self, dim, width, codebooks, bins):
        super().__init__()
        self.first, self.rest = (nn.Linear(dim, width, bias=False) for _ in range(2))
        self.beyond = nn.Parameter(torch.zeros(codebooks, bins, width))

    def forward(self, first, rest, codes, hears):
        """first, rest [B, dim, T], codes [B, K, T]; `hears` [B, 1, 1]: 0 where a conversation
        lacks the codebooks after the first. -> [B, T, width]"""
        names = [F.embedding(c, table) for c, table in zip(codes.unbind(1), self.beyond)]
        return (self.first(first.transpose(1, 2)) + names[0]
                + hears * (self.rest(rest.transpose(1, 2)) + sum(names[1:])))

    @torch.no_grad()
    def pairs(self, mimi):
        """-> for each codebook its vectors [bins, dim] and the matrix that reads them"""
        quantizer = mimi.quantizer
        for half, matrix in ((quantizer.rvq_first, self.first), (quantizer.rvq_rest, self.rest)):
            for layer in half.vq.layers:
                yield half.output_proj(layer._codebook.embedding.T[None])[0].T, matrix

    @torch.no_grad()
    def learn_from(self, mimi, tables):
        """Begins with a language model's tables [bins, width] of the codes."""
        given = list(zip(self.pairs(mimi), tables))
        for matrix, some in ((self.first, given[:1]), (self.rest, given[1:])):
            vectors = torch.cat([v for (v, _), _ in some])
            wanted = torch.cat([t for _, t in some])
            small = 1e-3 * vectors.square().sum() / len(vectors.T) * torch.eye(
                len(vectors.T), device=vectors.device)
            found = torch.linalg.solve(vectors.T @ vectors + small, vectors.T @ wanted)
            matrix.weight.copy_(found.T)
        for ((vectors, matrix), table), beyond in zip(given, self.beyond):
            beyond.copy_(table - matrix(vectors))

    @torch.no_grad()
    def write_to(self, mimi, tables):
        for (vectors, matrix), beyond, table in zip(self.pairs(mimi), self.beyond, tables):
            table.weight[:len(vectors)] = matrix(vectors) + beyond


def quantise(mimi, z, levels):
    """[B, dim, T] -> first codebook's part, `levels` others together, codes [B, 1 + levels, T],
    commitment"""
    parts, codes, commit = [], [], 0.0
    for half, n in ((mimi.quantizer.rvq_first, 1), (mimi.quantizer.rvq_rest, levels)):
        q, chosen, penalty, _ = half.vq(half.input_proj(z), n_q=n)
        parts.append(half.output_proj(q))
        codes.append(chosen.transpose(0, 1))
        commit = commit + penalty.mean()
    return *parts, torch.cat(codes, 1), commit


class Ensemble(nn.Module):
    """Everything that learns to hear."""

    def __init__(self, mimi, lm, vocabulary, dim, silence, spoken):
        """`vocabulary`: of the users' words; `silence` [8], `spoken` [8, n]: Parley's codes while
        it says nothing, and of all it says"""
        super().__init__()
        width, tables = lm.dim, lm.num_audio_codebooks - lm.dep_q
        self.mimi, self.lm, self.reader = mimi, lm, Reader(dim, width, tables, lm.card)
        self.heads, self.ear = Heads(dim), nn.Linear(width, len(vocabulary) + 1)
        self.vocabulary = vocabulary
        self.silence, self.spoken = silence, spoken

    def train(self, mode=True):
        """But for the codebooks, which stay."""
        super().train(mode)
        for half in (self.mimi.quantizer.rvq_first, self.mimi.quantizer.rvq_rest):
            for layer in half.vq.layers:
                layer._codebook.eval()
        return self

    def learning(self):
        """Its parameters but for the fixed stem, what is decoded and what speaks."""
        quantizer = self.mimi.quantizer
        parts = [*list(self.mimi.encoder.model)[CUT:], self.mimi.encoder_transformer,
                 self.mimi.downsample, quantizer.rvq_first.input_proj,
                 quantizer.rvq_rest.input_proj, self.reader, self.heads, self.ear,
                 self.lm.transformer, self.lm.out_norm, self.lm.text_emb, self.lm.text_linear]
        return [p for part in parts for p in part.parameters() if p.requires_grad]

    def own_voice(self, hushed):
        """What it says meanwhile: nothing, or in some conversations anything at all but where it is
        `hushed` [B, T], so that it can listen while it speaks. -> [B, T, width]"""
        size, frames = hushed.shape
        speaks = torch.rand(size, 1, device=self.silence.device) < SPEAKS
        begin = torch.randint(self.spoken.shape[1] - frames, (size, 1), device=speaks.device)
        spoken = self.spoken[:, begin + torch.arange(frames, device=speaks.device)]
        said = torch.where(speaks & ~hushed, spoken, self.silence[:, None, None])
        return sum(self.lm.emb[k](codes) for k, codes in enumerate(said)).detach()

    def listen(self, first, rest, codes, text, hushed):
        """Reads codes [B, K, T] with their vectors [B, dim, T], the text before [B, T] and, where
        it is not hushed [B, T], its own voice. -> hidden, text logits"""
        lm = self.lm
        hears = torch.rand(len(rest), 1, 1, device=rest.device) >= MUTE
        heard = self.reader(first, rest, codes, hears)
        wrong = torch.rand(heard.shape[:2], device=heard.device) < WRONG * torch.rand(
            len(heard), 1, device=heard.device)
        heard = torch.where(wrong[..., None], heard.roll(1, 0).detach(), heard)
        begin = lm._get_initial_token()[0, :, 0]
        text = F.pad(text[:, :-1], (1, 0), value=int(begin[0]))
        user = sum(lm.emb[k](begin[1 + k]) for k in range(lm.dep_q, lm.num_audio_codebooks))
        heard = torch.cat([user.detach().expand(len(heard), 1, -1), heard[:, :-1]], 1)
        own = self.own_voice(hushed)
        hidden = lm.out_norm(lm.transformer(heard + lm.text_emb(text) + own))
        return hidden, lm.text_linear(hidden)


def phone_losses(net, first, total, phones, rare):
    """-> loss of both heads, figures"""
    want = slots(phones)
    known, loud = want != UNKNOWN, (want != UNKNOWN) & (want > 0)
    loss, facts = 0.0, {}
    for name, named in zip(("1", ""), net.heads(first, total)):
        one = F.cross_entropy(named[known], want[known], weight=rare)
        loss, facts["phone" + name] = loss + one, one.item()
        facts["right" + name] = (named.argmax(-1) == want)[loud].float().mean().item()
    return loss, facts


def losses(net, old, batch, levels, rare, amp):
    """-> loss, figures; batch: of dialogues.drills(), then of OwnVoice.pieces()"""
    x, text, heard, hushed, phones, own, own_phones = batch
    with amp:
        z, z_own = (top(net.mimi, v.float().transpose(1, 2)).float() for v in (x, own))
        with torch.no_grad():
            keep = top(old, own.float().transpose(1, 2)).float()
    n, frames = len(x), x.shape[1] // A_FRAME
    flat = torch.cat([z.transpose(1, 2).flatten(0, 1), z_own.transpose(1, 2).flatten(0, 1)])
    first, rest, codes, commit = quantise(net.mimi, flat.T[None], levels)

    def split(v):                                   # -> of the users, of Parley: [B, dim, T]
        users, parley = v[0].T.split([n * frames, len(flat) - n * frames])
        return (users.unflatten(0, (n, frames)).transpose(1, 2),
                parley.unflatten(0, (-1, PIECE)).transpose(1, 2))

    (first, first_own), (rest, rest_own), (codes, codes_own) = map(split, (first, rest, codes))
    with torch.no_grad():
        old_first, old_rest, old_codes, _ = quantise(old, keep, levels)
    phone, facts = phone_losses(net, first, first + rest, phones, rare)
    phone_own, _ = phone_losses(net, first_own, first_own + rest_own, own_phones, rare)
    with amp:
        hidden, said = net.listen(first, rest, codes, text, hushed)
        named = net.ear(hidden)
    answer = language_model.weighted(said, text, language_model.text_weight(text))
    word = language_model.ear_loss(named, heard)
    decoded = old_first + old_rest
    stay = ((z_own - keep).square().mean() / keep.square().mean()
            + (first_own + rest_own - decoded).square().mean() / decoded.square().mean())
    loss = (PHONE_WEIGHT * phone + OWN_WEIGHT * phone_own + ANSWER_WEIGHT * answer + word
            + STAY_WEIGHT * stay + COMMIT_WEIGHT * commit)
    right = language_model.share_right
    return loss, dict(facts, text=answer.item(), word=word.item(), stay=stay.item(),
                      kept=(codes_own == old_codes)[:, 0].float().mean().item(),
                      commit=commit.item(), words_right=right(said, text, text > tokens.PAD),
                      heard_right=right(named, heard, heard > 0))


def take_heads(net, source):
    """Where weights go on from the run that made them, so does what exists only in training.
    -> whether the run left it"""
    path = Path(source) / "listening.pt"
    left = torch.load(path, map_location="cpu", weights_only=True) if path.exists() else {}
    if "heads" not in left or "vocabulary" not in left:
        return False
    net.heads.load_state_dict(left["heads"])
    rows = [(net.vocabulary[word], old) for word, old in left["vocabulary"].items()
            if word in net.vocabulary]
    new, old = torch.tensor([(0, 0), *rows]).T          # words may have come since: those are new
    with torch.no_grad():
        for mine, given in ((net.ear.weight, left["ear"]["weight"]),
                            (net.ear.bias, left["ear"]["bias"])):
            mine[new] = given[old].to(mine)
    return True


def learn_heads(net, loss_of):
    """Before weights from elsewhere go on: what exists only in training begins at random, and until
    it means something its gradients would disturb what the others know."""
    learning, heads = net.learning(), [*net.heads.parameters(), *net.ear.parameters()]
    for p in learning:
        p.requires_grad_(False)
    for p in heads:
        p.requires_grad_(True)
    optimiser = torch.optim.AdamW(heads, lr=HEADS_RATE)
    for step in range(HEADS_FIRST):
        loss, _ = loss_of(step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    for p in learning:
        p.requires_grad_(True)


def train(data, run, device, minutes, size, frames, models, rate, seed, dim, layers, context, world,
          source=None, side=training.ALONE):
    """`size` conversations of `frames` frames, `models` pieces of Parley's voice a step; after
    compute_features()."""
    training.prepare(seed)
    run = Path(run)
    mimi, config = codec.load(run, device)
    old = copy.deepcopy(mimi).eval()
    bank = Bank(data, run, world, codes=False)
    lm, _ = language_model.make(bank.tokenizer, device, dim, layers, context)
    net = Ensemble(mimi, lm, bank.vocabulary, config["seanet"]["dimension"],
                   *(codes.to(device) for codes in tokens.own_codes(run))).to(device)
    if source:
        net.reader.learn_from(mimi, language_model.begin_from(lm, bank.tokenizer, source))
    else:
        language_model.forget_own_voice(lm)
    net.train()
    work = training.Run(
        dict(net=net, old=old), net.learning(), rate, minutes, warm_steps=100, betas=(0.9, 0.97),
        decay=0.02, device=device, smoothing=0.98, state_path=run / "hearing.state.pt",
        log_path=run / "hearing.log", export=lambda: export(net, config, run),
        matrices=[p for part in (lm.transformer, mimi.encoder_transformer)
                  for p in part.parameters() if p.dim() == 2], side=side)
    print(f"hearing: {sum(p.numel() for p in work.params)} parameters learn", flush=True)
    rare = torch.ones(len(PHONES), device=device)
    rare[0] = 0.3
    own, seed = OwnVoice(data, run), side.apart(seed)
    feed = training.loader(
        lambda rng: (*dialogues.drills(bank, rng, size, frames), *own.pieces(rng, models)),
        seed + work.step, device, every_100=bank.look)
    deep = len(mimi.quantizer.rvq_rest.vq.layers)

    def next_losses(step):
        batch = [v.to(device, non_blocking=True) for v in next(feed)]
        batch = [v.long() if v.dtype == torch.uint8 else v for v in batch]
        levels = (1, deep, 3, deep)[step % 4]
        return losses(net, old, batch, levels, rare, training.autocast(device))

    if source and not work.resumed and not take_heads(net, source):
        learn_heads(net, next_losses)
    for _ in work.steps():
        work.descend(*next_losses(work.step))


def export(net, config, run):
    """The codec, and what the language model begins from."""
    codec.export(net.mimi, config, run)
    net.reader.write_to(net.mimi, net.lm.emb[net.lm.dep_q:])
    state = dict(lm=net.lm.state_dict(), ear=net.ear.state_dict(), heads=net.heads.state_dict(),
                 vocabulary=net.vocabulary)
    training.write_atomically(run / "listening.pt", lambda path: torch.save(state, path))
