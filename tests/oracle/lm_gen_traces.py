#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/golden/lm_gen/NAME.safetensors: what the official LMGen feeds its model and returns, step by step.

    user    [S, n_user]      codes given at each call
    forced  [S]              the text hook's token, -1: none
    input   [S, 1 + n_q]     what the model is fed
    output  [S, 1 + dep_q]   what the call returns, -2 where it returns nothing

Greedy; a seed with a near tie is passed over. The models are those of tests/golden.
"""

from pathlib import Path

import torch
from moshi.conditioners import ConditionAttributes
from moshi.models.lm import LMGen

import common as c

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MARGIN = 1e-3
# model folder, steps, with forced text, more user rows than needed
TRACES = {
    "delay1": ("moshi/plain", 40, False, 0),
    "delay_mixed": ("moshi/small", 30, False, 0),
    "delay1_forced": ("moshi/schedule_one_set", 30, True, 2),
    "delay2_text_too": ("talk/delay2", 36, False, 0),
    "delay3": ("talk/delay3", 36, True, 0),
    "delay0": ("talk/delay0", 20, False, 0),
    "hibiki": ("hibiki/2b", 30, False, 1),
    "stt": ("stt/1b", 30, False, 0),
    "tts": ("tts/0.75b", 24, True, 0),
}


def watch(lm, seen):
    """Remembers every input, and refuses near ties of either transformer."""
    forward_text, forward_depformer = lm.forward_text, lm.forward_depformer

    def check(logits):
        best = logits.flatten().topk(2).values
        if best[0] - best[1] < MARGIN * logits.abs().max():
            raise c.Near("logits")
        return logits

    def text(sequence, *args):
        seen.append(sequence[0, :, 0].clone())
        h, logits = forward_text(sequence, *args)
        check(logits)
        return h, logits

    lm.forward_text = text
    lm.forward_depformer = lambda *args: check(forward_depformer(*args))


def trace(folder, steps, has_forced, extra, seed):
    info = c.checkpoint(GOLDEN / folder)
    lm = info.get_moshi(dtype=torch.float32)
    g = c.rng(seed)
    n_user = lm.n_q - lm.dep_q + extra
    user = torch.randint(0, lm.card, (steps, n_user), generator=g)
    forced = torch.full((steps,), -1)
    if has_forced:
        forced[3::4] = torch.randint(0, lm.text_card, (len(forced[3::4]),), generator=g)
    seen, out = [], []
    watch(lm, seen)

    def hook(token):
        step = len(seen) - 1
        if forced[step] >= 0:
            token[:] = forced[step]

    conditions = None
    if lm.fuser is not None:
        conditions = lm.condition_provider.prepare_and_provide([very_good()])
    gen = LMGen(lm, use_sampling=False, on_text_hook=hook, condition_tensors=conditions)
    nothing = torch.full((1 + lm.dep_q,), -2)
    with gen.streaming(1):
        for step in range(steps):
            y = gen.step(user[None, step, :, None])
            out.append(nothing if y is None else y[0, :, 0])
    return {"user": user, "forced": forced, "input": torch.stack(seen), "output": torch.stack(out)}


def very_good():
    return ConditionAttributes(text={"description": "very_good"}, tensor={})


def main():
    (GOLDEN / "lm_gen").mkdir(exist_ok=True)
    for name, (folder, steps, has_forced, extra) in TRACES.items():
        for seed in range(1, 200):
            try:
                tensors = trace(folder, steps, has_forced, extra, seed)
                break
            except c.Near:
                continue
        else:
            raise SystemExit(f"{name}: every seed has a near tie")
        c.save(GOLDEN / "lm_gen" / f"{name}.safetensors", {k: v.int() for k, v in tensors.items()})
        print(name, folder, "seed", seed, "delays", tensors["input"].shape)


if __name__ == "__main__":
    main()
