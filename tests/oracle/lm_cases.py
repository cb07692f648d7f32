# SPDX-License-Identifier: MIT
"""Language model checkpoints: every variant of the published configs, teacher-forced logits."""

import copy

import torch

import common as c


def delays(dep_q, n_user, acoustic):
    one = lambda n: [0] + [acoustic] * (n - 1) if n else []
    return [0] + one(dep_q) + one(n_user)


# The published Moshi's config, every number made small.
MOSHI = {
    "dim": 32, "text_card": 41, "existing_text_padding_id": 3, "n_q": 8, "dep_q": 4, "card": 28,
    "num_heads": 4, "num_layers": 2, "hidden_scale": 4.125, "causal": True, "layer_scale": None,
    "context": 11, "max_period": 10000, "gating": "silu", "norm": "rms_norm_f32",
    "positional_embedding": "rope", "depformer_dim": 24, "depformer_dim_feedforward": 99,
    "depformer_num_heads": 2, "depformer_num_layers": 2, "depformer_layer_scale": None,
    "depformer_multi_linear": True, "depformer_context": 8, "depformer_max_period": 10000,
    "depformer_gating": "silu", "depformer_pos_emb": "none", "depformer_weights_per_step": True,
    "delays": delays(4, 4, 1), "moshi_name": "model.safetensors", "model_type": "moshi",
}


def variant(**changes):
    return {**copy.deepcopy(MOSHI), **changes}


def write_weights(folder, lm, cfg, rename=c.join_projections, dtype=torch.float32):
    """The state dict as the file holds it; conditioners stay f32 as in the published TTS."""
    state = {k: v if k.startswith("condition_provider.") else v.to(dtype)
             for k, v in lm.state_dict().items()}
    c.save(folder / cfg.get("moshi_name", "model.safetensors"), rename(state))


def write_run(folder, lm, codes, conditions=None, inputs=None, index=""):
    """One probe: in{index} and out{index}."""
    c.save(folder / f"in{index}.safetensors", {"codes": codes.int(), **(inputs or {})})
    c.save(folder / f"out{index}.safetensors", c.teacher_force(lm, codes, conditions))
    return {"verb": "probe", "in": f"in{index}.safetensors", "out": f"out{index}.safetensors"}


def plain(out, name, cfg, steps=27, seed=1, rename=c.join_projections, dtype=torch.float32):
    """A model without conditions: one folder, one probe."""
    folder = c.fresh_folder(out / name)
    c.save_json(folder / "config.json", cfg)
    write_weights(folder, c.new_lm(cfg, seed), cfg, rename, dtype)
    lm = c.load_lm(folder)
    codes = c.random_codes(cfg, steps, seed + 1)
    c.save_json(folder / "expect.json", {"runs": [write_run(folder, lm, codes)]})


CASES = {
    "moshi/plain": lambda out: plain(out, "moshi/plain", MOSHI),
    "moshi/small": lambda out: plain(
        out, "moshi/small", variant(n_q=4, dep_q=2, delays=[0, 0, 1, 0, 1], dim=20, num_heads=2,
                                    context=16, max_period=700, num_layers=3), 40, seed=2),
}
