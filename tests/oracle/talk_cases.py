# SPDX-License-Identifier: MIT
"""Whole talks at temperature 0: sound in, the reference's run_inference, text and sound out."""

import io
import json

import sentencepiece
import torch
from moshi.run_inference import InferenceState

import common as c
import lm_cases
import mimi_cases

TEXT_CARD = 340
GAP = 1e-3  # of the largest logit: nearer than this is no test of arithmetic
# (a fifth of it where the end has to fall on a given frame)


def sentences():
    """Three hundred invented lines, for a vocabulary of its own."""
    who = ["the miller", "a fox", "my neighbour", "the tall captain", "nobody", "every child"]
    does = [
        "opens",
        "paints",
        "forgets",
        "sells",
        "counts",
        "repairs",
        "hears",
        "follows",
        "finds",
        "keeps",
    ]
    what = [
        "the green door",
        "two ladders",
        "an old song",
        "seven apples",
        "the café on the corner",
    ]
    return [f"{w} {d} {x}." for w in who for d in does for x in what]


def tokenizer(path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()),
        model_writer=model,
        vocab_size=TEXT_CARD,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=3,
        num_threads=1,
        minloglevel=2,
        character_coverage=0.99,
    )
    path.write_bytes(model.getvalue())


class Watch:
    """Looks at every greedy decision and refuses near ties."""

    def __init__(self, lm, gap):
        self.gap = gap
        self.text, self.audio = lm.forward_text, lm.forward_depformer
        lm.forward_text, lm.forward_depformer = self.on_text, self.on_audio

    def on_text(self, *args, **kwargs):
        out = self.text(*args, **kwargs)
        self.check(out[1])
        return out

    def on_audio(self, *args):
        out = self.audio(*args)
        self.check(out)
        return out

    def check(self, logits):
        best = logits.flatten().topk(2).values
        if best[0] - best[1] < self.gap * logits.abs().max():
            raise c.Near("two tokens are as likely")


class Quiet:
    """The printer that run_inference asks for."""

    def log(self, *args):
        pass

    print_header = print_token = log


def run(folder, pcm, record, gap):
    """The official InferenceState.run; what each step was fed and returned goes to record."""
    info = c.checkpoint(folder)
    lm, mimi = info.get_moshi(dtype=torch.float32), info.get_mimi()
    Watch(lm, gap)
    state = InferenceState(
        info, mimi, info.get_text_tokenizer(), lm, 1, 1.0, "cpu", use_sampling=False
    )
    step, encode = state.lm_gen.step, mimi._encode_to_unquantized_latent

    def on_step(codes):
        tokens = step(codes)
        record["fed"].append(codes[0, :, 0])
        record["tokens"].append(
            torch.full((lm.dep_q + 1,), -2) if tokens is None else tokens[0, :, 0].clone()
        )
        if len(record["tokens"]) > record["limit"]:
            raise c.Near("it does not end")
        return tokens

    def on_encode(x):
        latent = encode(x)
        c.check_codes(mimi, latent[0], mimi.quantizer.encode(latent)[0])
        return latent

    state.lm_gen.step, mimi._encode_to_unquantized_latent = on_step, on_encode
    state.printer = Quiet()
    texts, sound = state.run(pcm[None, None])[0]
    return info.get_text_tokenizer(), texts, sound[0]


def build(out, name, lm_changes, mimi_cfg, frames, seed, tail=0, extra=None, base=lm_cases.MOSHI):
    """extra: after how many frames behind the input Hibiki may find its end, from and to."""
    cfg = lm_cases.variant(
        base,
        dim=16,
        text_card=TEXT_CARD,
        mimi_name="mimi.safetensors",
        mimi_config_name="mimi_config.json",
        tokenizer_name="tokenizer.model",
        lm_gen_config={"temp": 0.7, "temp_text": 0.6},
        context=12,
        card=mimi_cfg["quantizer"]["bins"],
        **lm_changes,
    )
    folder = c.fresh_folder(out / name)
    c.save_json(folder / "config.json", cfg)
    c.save_json(folder / "mimi_config.json", mimi_cfg)
    tokenizer(folder / "tokenizer.model")
    for attempt in range(500):
        mimi = c.new_mimi(mimi_cfg, seed + 1000 * attempt)
        c.save(folder / "mimi.safetensors", c.join_projections(mimi.state_dict()))
        lm = lively(
            c.new_lm(cfg, seed + 1000 * attempt),
            0.5 if extra is None else 2.5 if extra[1] == 1 else 2.0,
        )
        lm_cases.write_weights(folder, lm, cfg)
        pcm = c.sound(c.rng(seed + attempt), frames * mimi.frame_size + tail, mimi.sample_rate)
        record = {"fed": [], "tokens": [], "limit": frames + 40}
        try:
            spm, texts, sound = run(folder, pcm, record, GAP if extra is None else GAP / 5)
            if sound.abs().max() >= 1 or len(set(texts.tolist())) < 6:
                raise c.Near("the sound clips, or the text stands still")
            if extra and not extra[0] <= len(record["fed"]) - 1 - frames <= extra[1]:
                raise c.Near("it ends elsewhere")
        except c.Near:
            continue
        write(folder, mimi, pcm, record, spm, texts, sound)
        return
    raise SystemExit(f"{name}: every seed has a near tie")


def lively(lm, end):
    """Makes padding likelier, as it is in a real model; `end` is for the end of the stream."""
    lm.text_linear.weight.data[[0, 3]] *= 1.5
    lm.text_linear.weight.data[260:] *= 1.6  # words more often than single bytes
    lm.text_linear.weight.data[2] *= end
    return lm


def write(folder, mimi, pcm, record, spm, texts, sound):
    c.save(folder / "in.safetensors", {"pcm": pcm})
    c.save(
        folder / "out.safetensors",
        {
            "pcm": sound,
            "fed": torch.stack(record["fed"], 1).int(),
            "tokens": torch.stack(record["tokens"], 1).int(),
        },
    )
    lines = [
        {"frame": frame, "token": token, "text": spm.id_to_piece(token).replace("\u2581", " ")}
        for frame, token in enumerate(texts.tolist())
        if token not in (0, 3)
    ]
    (folder / "out.jsonl").write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    )
    c.save_json(
        folder / "expect.json",
        {
            "runs": [
                {
                    "verb": "talk",
                    "in": "in.safetensors",
                    "out": "out.safetensors",
                    "text": "out.jsonl",
                    "rate": mimi.sample_rate,
                    "frames": len(texts),
                }
            ]
        },
    )


CASES = {
    "talk/delay1": lambda out: build(
        out,
        "talk/delay1",
        {"n_q": 8, "dep_q": 4, "delays": lm_cases.delays(4, 4, 1)},
        mimi_cases.small(),
        30,
        61,
        tail=9,
    ),
    "talk/delay2": lambda out: build(
        out,
        "talk/delay2",
        {
            "n_q": 7,
            "dep_q": 4,
            "delays": [1, 0, 2, 1, 2, 0, 2, 1],
            "depformer_weights_per_step_schedule": [0, 1, 1, 2],
        },
        mimi_cases.small(),
        26,
        62,
    ),
    "talk/delay0": lambda out: build(
        out, "talk/delay0", {"n_q": 6, "dep_q": 2, "delays": [0] * 7}, mimi_cases.small(), 21, 63
    ),
    "talk/delay3": lambda out: build(
        out,
        "talk/delay3",
        {"n_q": 9, "dep_q": 3, "delays": [0, 0, 3, 3, 0, 1, 2, 3, 3, 1]},
        mimi_cases.small(quantizer={"n_q": 7}),
        24,
        64,
        tail=31,
    ),
    "talk/hibiki": lambda out: build(
        out,
        "talk/hibiki",
        {"n_q": 8, "dep_q": 4, "delays": lm_cases.delays(4, 4, 2)},
        mimi_cases.small(),
        19,
        65,
        extra=(3, 14),
        base=lm_cases.HIBIKI_1B,
    ),
    "talk/hibiki_at_once": lambda out: build(  # the end comes with the end-of-input codes
        out,
        "talk/hibiki_at_once",
        {"n_q": 8, "dep_q": 4, "delays": lm_cases.delays(4, 4, 1)},
        mimi_cases.small(),
        17,
        66,
        extra=(1, 1),
        base=lm_cases.HIBIKI_1B,
    ),
}
