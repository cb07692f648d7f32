# SPDX-License-Identifier: MIT
"""Step 6: the tiny Moshi, trained on conversations put together on the fly."""

import json
from pathlib import Path

import sentencepiece
import torch
import torch.nn as nn
import torch.nn.functional as F
from moshi.models.lm_utils import _delay_sequence
from moshi.models.loaders import get_moshi_lm
from safetensors.torch import load_file, save_file

from . import codec, dialogues, training
from .bank import Bank
from .stem import top
from .tokens import PAD

SHIPPED = {"temp": 0.3, "temp_text": 0.1, "top_k": 50, "top_k_text": 5}     # how it is to speak
PAD_WEIGHT = 0.15               # of frames without a word in the loss of the text
RESULT_WEIGHT = 3.0             # of the words up to RESULT_FRAMES after an "is": results of sums
RESULT_FRAMES = 12
ACOUSTIC_WEIGHT = 0.3           # of the codebooks after the first
LISTEN_WEIGHT = 0.5             # of the head that names the user's words
SILENT_SHARE = 0.05             # of Parley's silent frames that the depth transformer learns from
ENDING = 8                      # but for the first ones after it spoke
PRACTISED = dict(say=3.0)       # how much oftener than in conversations, by kind of question


def lm_config(text_card, card=512, codebooks=8, dim=256, layers=6, depth_dim=96, depth_layers=2,
              context=200):
    """The official constructor's arguments, as config.json holds them."""
    acoustic_delays = [1] * (codebooks - 1)
    return {
        "dim": dim, "text_card": text_card, "existing_text_padding_id": PAD, "n_q": 2 * codebooks,
        "dep_q": codebooks, "card": card, "num_heads": 4, "num_layers": layers, "hidden_scale": 3.0,
        "causal": True, "layer_scale": None, "context": context, "max_period": 10000,
        "gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope",
        "depformer_dim": depth_dim, "depformer_dim_feedforward": 4 * depth_dim,
        "depformer_num_heads": 4, "depformer_num_layers": depth_layers,
        "depformer_layer_scale": None, "depformer_multi_linear": True,
        "depformer_context": codebooks, "depformer_max_period": 10000,
        "depformer_gating": "silu", "depformer_pos_emb": "none", "depformer_weights_per_step": True,
        "delays": [0, 0, *acoustic_delays, *[0] * codebooks]}


def export(lm, config, run):
    """The folder as the official loaders expect it, weights in bf16."""
    state = {k: v.detach().to(torch.bfloat16).cpu().contiguous()
             for k, v in lm.state_dict().items()}
    training.write_atomically(run / "model.safetensors", lambda path: save_file(state, path))
    names = {"moshi_name": "model.safetensors", "mimi_name": "mimi.safetensors",
             "mimi_config_name": "mimi_config.json", "tokenizer_name": "tokenizer.model",
             "model_type": "moshi", "lm_gen_config": SHIPPED}
    (run / "config.json").write_text(json.dumps({**config, **names}, indent=2) + "\n")


def spoil(read, lm):
    """What the model reads [B, 17, T], made a little wrong in place.

    It must not depend on perfect tokens, nor on the user's timbre: 3 % of its own codes and up to
    8 % of the user's are random, and a tenth of the conversations lack the user's acoustic
    codebooks.
    """
    n, streams, frames = read.shape
    own, user = slice(1, 1 + lm.dep_q), slice(1 + lm.dep_q, None)
    rate = torch.zeros(n, streams, 1, device=read.device)
    rate[:, own], rate[:, user] = 0.03, 0.08 * torch.rand(n, 1, 1, device=read.device)
    wrong = (torch.rand(n, streams, frames, device=read.device) < rate) & (read < lm.card)
    read = torch.where(wrong, torch.randint_like(read, lm.card), read)
    mute = torch.rand(n, 1, 1, device=read.device) < 0.1
    acoustic = read[:, 2 + lm.dep_q:]
    acoustic[:] = torch.where(mute, torch.full_like(acoustic, lm.zero_token_id), acoustic)
    return read


def read_and_want(lm, codes):
    """[B, 17, T] -> what the model reads, a little wrong, and what it is to say, both delayed"""
    initial = lm._get_initial_token().expand(codes.shape[0], -1, -1)
    sequence = torch.cat([initial, _delay_sequence(lm.delays, codes, initial)], 2)
    return spoil(sequence[:, :, :-1].clone(), lm), sequence[:, :, 1:]


def weighted(logits, target, weight):
    """Mean cross entropy; logits [..., classes], target and weight [...]."""
    loss = F.cross_entropy(logits.float().flatten(0, -2), target.flatten(), reduction="none")
    return (loss.view_as(weight) * weight).sum() / weight.sum().clamp(min=1e-6)


def text_weight(text, token_is=None, held=None):
    """How much each frame's text [B, T] counts; results of sums more, if `token_is` tells them. A
    word that is `held` back counts as one that is said: else saying it would be the safer guess."""
    is_word = text != PAD if held is None else (text != PAD) | held
    if token_is is None:
        return torch.where(is_word, 1.0, PAD_WEIGHT)
    after = F.max_pool1d(F.pad((text == token_is).float(), (RESULT_FRAMES, 0))[:, None],
                         RESULT_FRAMES + 1, 1)[:, 0]
    return torch.where(is_word, 1 + (RESULT_WEIGHT - 1) * after, PAD_WEIGHT)


def ear_loss(named, heard):
    """Of the head that names the user's word on the frame after it."""
    return weighted(named, heard.clamp(min=0), torch.where(heard > 0, 1.0, 0.1) * (heard >= 0))


def losses(lm, ear, codes, heard, speaks, fair, held, missed, token_is, amp, depth_share):
    """codes [B, 17, T], the rest [B, T]. -> loss, figures"""
    read, want = read_and_want(lm, codes)
    near = F.max_pool1d(F.pad(speaks.float(), (ENDING, 0))[:, None], ENDING + 1, 1)[:, 0] > 0
    share = torch.where(near, depth_share, SILENT_SHARE) * ~missed
    chosen = torch.rand(speaks.shape, device=codes.device) < share      # for the depth transformer
    with amp:
        hidden, text = lm.forward_text(read)
        named = ear(hidden)
    text, text_want = text[:, 0], want[:, 0]
    text_loss = weighted(text, text_want, text_weight(text_want, token_is, held) * fair)
    listen = ear_loss(named, heard)
    loss = text_loss + LISTEN_WEIGHT * listen
    facts = dict(text=text_loss.item(), listen=listen.item(),
                 words_right=share_right(text, text_want, (text_want > PAD) & fair),
                 heard_right=share_right(named, heard, heard > 0))
    sound, audio = sound_loss(lm, hidden, want, speaks, chosen, amp)
    return loss + sound, {**facts, **audio}


def sound_loss(lm, hidden, want, speaks, chosen, amp):
    """Of what Parley says, on the `chosen` frames [B, T]. -> loss, figures"""
    target = want[:, 1:1 + lm.dep_q].transpose(1, 2)[chosen].T          # [dep_q, n]
    known = target < lm.card                                            # not an initial token
    with amp:
        audio = lm.forward_depformer_training(want.transpose(1, 2)[chosen].T[None],
                                              hidden[chosen][None])[0]  # [dep_q, n, card]
    each = torch.stack([weighted(a, t.clamp(max=lm.card - 1), k.float())
                        for a, t, k in zip(audio, target, known)])
    loss = each[0] + ACOUSTIC_WEIGHT * each[1:].mean() * (lm.dep_q - 1) / 4
    return loss, dict(semantic=each[0].item(), acoustic=each[1:].mean().item(),
                      semantic_right=share_right(audio[0], target[0], speaks[chosen]))


@torch.no_grad()
def share_right(logits, target, where):
    return (logits.argmax(-1) == target)[where].float().mean().item()


@torch.no_grad()
def begin_from(lm, tokenizer, source):
    """Takes over what fits from another model's folder; the words by their pieces.

    -> its tables of the user's codes, each [bins, dim]
    """
    config = json.loads((Path(source) / "config.json").read_text())
    old = load_file(str(Path(source) / config["moshi_name"]))
    pieces = sentencepiece.SentencePieceProcessor(str(Path(source) / config["tokenizer_name"]))
    place = {pieces.id_to_piece(i): i for i in range(pieces.get_piece_size())}
    rows = [(i, place[tokenizer.id_to_piece(i)]) for i in range(tokenizer.get_piece_size())
            if tokenizer.id_to_piece(i) in place]
    new_rows, old_rows = (torch.tensor(r) for r in zip(*rows))
    fitting = 0
    for name, tensor in lm.state_dict().items():
        given = old.get(name)
        if given is None:
            continue
        given = given.to(tensor)
        if given.shape == tensor.shape:
            tensor.copy_(given)
        elif given.shape[1:] == tensor.shape[1:] and "text" in name:
            tensor[new_rows] = given[old_rows]
            if given.shape[0] == pieces.get_piece_size() + 1:       # the initial token comes last
                tensor[-1] = given[-1]
        else:
            continue
        fitting += 1
    print(f"language model: {fitting} of {len(lm.state_dict())} tensors, {len(rows)} pieces"
          f" from {source}", flush=True)
    return [old[f"emb.{k}.weight"][:lm.card].to(lm.emb[k].weight)
            for k in range(lm.dep_q, lm.num_audio_codebooks)]


def forget_own_voice(lm):
    """While it learns to listen it does not hear itself: nothing until then."""
    for table in lm.emb[:lm.dep_q]:
        nn.init.zeros_(table.weight)


def make(tokenizer, device, dim, layers, context):
    """-> a language model of random weights, its configuration"""
    config = lm_config(tokenizer.get_piece_size(), dim=dim, layers=layers, context=context)
    return get_moshi_lm(None, config, device, torch.float32).train(), config


@torch.no_grad()
def codes_of(mimi, features, amp):
    """f16 [B, 16 T, channels] from the stem -> codes [B, 8, T]"""
    with amp:
        z = top(mimi, features.float().transpose(1, 2)).float()
    return mimi.quantizer.encode(z)


def train(data, run, device, minutes, size, frames, depth_share, rate, dim, layers, context, world,
          seed, side=training.ALONE):
    """Trains the language model on batches of `size` conversations of `frames` frames."""
    training.prepare(seed)
    run, bank = Path(run), Bank(data, run, world)
    lm, config = make(bank.tokenizer, device, dim, layers, context)
    mimi, _ = codec.load(run, device)
    ear = nn.Linear(dim, len(bank.vocabulary) + 1).to(device)   # which word did the user just end?
    learned = torch.load(run / "listening.pt", map_location=device, weights_only=True)
    lm.load_state_dict(learned["lm"])
    ear.load_state_dict(learned["ear"])
    print(f"language model: {sum(p.numel() for p in lm.parameters())} parameters", flush=True)
    work = training.Run(
        dict(lm=lm, ear=ear), [*lm.parameters(), *ear.parameters()], rate, minutes, warm_steps=150,
        betas=(0.9, 0.95), decay=0.05, device=device, smoothing=0.97,
        state_path=run / "language_model.state.pt", log_path=run / "language_model.log",
        export=lambda: export(lm, config, run),
        matrices=[p for name, p in lm.transformer.named_parameters() if p.dim() == 2], side=side)
    (token_is,) = bank.tokenizer.encode("is")
    amp = training.autocast(device)
    feed = batches(bank, mimi, size, frames, side.apart(seed) + work.step, device, amp)
    for _, (codes, *facts) in zip(work.steps(), feed):
        work.descend(*losses(lm, ear, codes, *facts, token_is, amp, depth_share))


def batches(bank, mimi, size, frames, seed, device, amp, shares=dialogues.SHARE):
    """Conversations without end. -> codes [B, 17, T], and what dialogues.talks() tells of them"""
    feed = training.loader(lambda rng: dialogues.talks(bank, rng, size, frames, shares), seed,
                           device)
    for batch in feed:
        features, codes, *facts = (v.to(device, non_blocking=True) for v in batch)
        yield torch.cat([codes, codes_of(mimi, features, amp)], 1), *facts


def practise(data, run, device, minutes, size, frames, rate, dim, layers, context, world, seed):
    """Trains the depth transformer alone, above all on the words that Parley repeats.

    They are three hundred, each said seldom: when all sentences sound as they should, the words do
    not yet. What Parley understands and writes stays as it is.
    """
    training.prepare(seed)
    run, bank = Path(run), Bank(data, run, world)
    lm, config = make(bank.tokenizer, device, dim, layers, context)
    learned = torch.load(run / "language_model.state.pt", map_location=device, weights_only=True)
    lm.load_state_dict(learned["modules"]["lm"])
    mimi, _ = codec.load(run, device)
    speaking = [p for name, p in lm.named_parameters()
                if name.startswith(("depformer", "linears"))]
    print(f"practise: {sum(p.numel() for p in speaking)} parameters", flush=True)
    work = training.Run(
        dict(lm=lm), speaking, rate, minutes, warm_steps=30, betas=(0.9, 0.95), decay=0.02,
        device=device, smoothing=0.97, state_path=run / "practise.state.pt",
        log_path=run / "practise.log", export=lambda: export(lm, config, run))
    amp = training.autocast(device)
    shares = {k: v * PRACTISED.get(k, 1.0) for k, v in dialogues.SHARE.items()}
    feed = batches(bank, mimi, size, frames, seed + work.step, device, amp, shares)
    for _, (codes, _, speaks, _, _, missed) in zip(work.steps(), feed):
        read, want = read_and_want(lm, codes)
        with torch.no_grad(), amp:
            hidden, _ = lm.forward_text(read)
        work.descend(*sound_loss(lm, hidden, want, speaks, speaks & ~missed, amp))
