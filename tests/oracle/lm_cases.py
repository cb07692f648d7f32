# SPDX-License-Identifier: MIT
"""Language model checkpoints: every variant of the published configs, teacher-forced logits."""

import copy

import torch
from moshi.conditioners import ConditionAttributes, TensorCondition

import common as c


def delays(dep_q, n_user, acoustic):
    one = lambda n: [0] + [acoustic] * (n - 1) if n else []
    return [0] + one(dep_q) + one(n_user)


# The published Moshi's config, every number made small.
MOSHI = {
    "dim": 32,
    "text_card": 41,
    "existing_text_padding_id": 3,
    "n_q": 8,
    "dep_q": 4,
    "card": 28,
    "num_heads": 4,
    "num_layers": 2,
    "hidden_scale": 4.125,
    "causal": True,
    "layer_scale": None,
    "context": 11,
    "max_period": 10000,
    "gating": "silu",
    "norm": "rms_norm_f32",
    "positional_embedding": "rope",
    "depformer_dim": 24,
    "depformer_dim_feedforward": 99,
    "depformer_num_heads": 2,
    "depformer_num_layers": 2,
    "depformer_layer_scale": None,
    "depformer_multi_linear": True,
    "depformer_context": 8,
    "depformer_max_period": 10000,
    "depformer_gating": "silu",
    "depformer_pos_emb": "none",
    "depformer_weights_per_step": True,
    "delays": delays(4, 4, 1),
    "moshi_name": "model.safetensors",
    "model_type": "moshi",
}

LUT = lambda bins, values, dim=16: {
    "type": "lut",
    "lut": {"n_bins": bins, "dim": dim, "tokenizer": "noop", "possible_values": values},
}
DESCRIPTION = ["very_bad", "bad", "neutral", "good", "very_good"]
CFG = ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5", "4.0"]


def variant(base=MOSHI, without=(), **changes):
    """A copy with changes, in small widths: the widths are the case `moshi/plain`'s business."""
    small = {
        "dim": 16,
        "num_heads": 2,
        "depformer_dim": 12,
        "depformer_dim_feedforward": 51,
        "n_q": 6,
        "dep_q": 3,
        "delays": delays(3, 3, 1),
        "card": 19,
        "text_card": 23,
    }
    cfg = {**copy.deepcopy(base), **(small if base is MOSHI else {}), **changes}
    return {k: v for k, v in cfg.items() if k not in without}


HIBIKI_2B = variant(
    model_type="hibiki",
    n_q=10,
    dep_q=5,
    delays=delays(5, 5, 2),
    max_period=100000.0,
    context=9,
    depformer_num_layers=1,
    depformer_low_rank_embeddings=6,
    depformer_weights_per_step_schedule=[0, 1, 2, 2, 2],
    demux_second_stream=False,
    text_card_out=None,
    conditioners={"description": LUT(31, DESCRIPTION)},
    cross_attention=False,
    fuser={
        "cross_attention_pos_emb": False,
        "cross_attention_pos_emb_scale": 1,
        "sum": ["description"],
        "prepend": [],
        "cross": [],
    },
    model_id={"sig": "00000000", "epoch": 1},
    lm_gen_config={"temp": 0.8, "temp_text": 0.8, "top_k": 250, "top_k_text": 50},
)

HIBIKI_1B = variant(
    HIBIKI_2B,
    without=("depformer_low_rank_embeddings", "depformer_weights_per_step_schedule"),
    n_q=6,
    dep_q=3,
    delays=delays(3, 3, 2),
    depformer_num_layers=2,
)

HIBIKI_ZERO = variant(
    model_type="hibiki",
    num_heads=4,
    hidden_scale=6,
    kv_repeat=2,
    depformer_kv_repeat=1,
    positional_embedding="rope_concat",
    max_period=20000.0,
    depformer_norm="layer_norm",
    depformer_dim_feedforward=None,
    depformer_num_heads=2,
    n_q=8,
    dep_q=4,
    delays=delays(4, 4, 2),
    depformer_weights_per_step_schedule=[0, 1, 2, 2],
    demux_second_stream=False,
    text_card_out=None,
    conditioners={},
    cross_attention=False,
    fuser=None,
)

# Every audio stream is predicted, the user's too, which the talk then overwrites.
PERSONAPLEX = variant(
    model_type="personaplex",
    version="tiny",
    n_q=8,
    dep_q=8,
    delays=delays(4, 4, 1),
    depformer_context=8,
)

STT = variant(
    model_type="stt",
    n_q=7,
    dep_q=0,
    delays=[0] * 8,
    max_period=100000.0,
    context=13,
    num_layers=3,
    extra_heads_num_heads=4,
    extra_heads_dim=6,
    conditioners={},
    fuser=None,
    cross_attention=False,
    stt_config={"audio_silence_prefix_seconds": 0.0, "audio_delay_seconds": 0.5},
)

TTS_1B6 = variant(
    model_type="tts",
    n_q=7,
    dep_q=7,
    delays=delays(7, 0, 2),
    context=10,
    depformer_num_layers=1,
    depformer_low_rank_embeddings=5,
    depformer_weights_per_step_schedule=[0, 1, 2, 2, 3, 3, 3],
    demux_second_stream=True,
    cross_attention=True,
    text_card_out=None,
    conditioners={
        "speaker_wavs": {"type": "tensor", "tensor": {"dim": 9}},
        "cfg": LUT(7, CFG),
        "control": LUT(1, ["ok"], 20),
    },
    fuser={
        "cross_attention_pos_emb": True,
        "cross_attention_pos_emb_scale": 1,
        "sum": ["control", "cfg"],
        "prepend": [],
        "cross": ["speaker_wavs"],
    },
    tts_config={"audio_delay": 1.28, "second_stream_ahead": 2},
    lm_gen_config={"temp": 0.6, "text_temp": 0.6},
)

TTS_0B75 = variant(
    TTS_1B6,
    n_q=5,
    dep_q=5,
    delays=delays(5, 0, 2),
    cross_attention=False,
    text_card_out=5,
    depformer_weights_per_step_schedule=[0, 1, 2, 2, 2],
    conditioners={},
    fuser=None,
    num_layers=3,
)


def write_weights(folder, lm, cfg, rename=c.join_projections, dtype=torch.float32):
    """The state dict as the file holds it; conditioners stay f32 as in the published TTS."""
    state = {
        k: v if k.startswith("condition_provider.") else v.to(dtype)
        for k, v in lm.state_dict().items()
    }
    c.save(folder / cfg.get("moshi_name", "model.safetensors"), rename(state))


def write_run(folder, lm, codes, conditions=None, inputs=None, index=""):
    """One probe: in{index} and out{index}."""
    c.save(folder / f"in{index}.safetensors", {"codes": codes.int(), **(inputs or {})})
    c.save(folder / f"out{index}.safetensors", c.teacher_force(lm, codes, conditions))
    return {"verb": "probe", "in": f"in{index}.safetensors", "out": f"out{index}.safetensors"}


def start(out, name, cfg, seed, rename=c.join_projections, dtype=torch.float32, quiet=False):
    """The folder with config and weights, and the model as the official loader reads it back."""
    folder = c.fresh_folder(out / name)
    c.save_json(folder / "config.json", cfg)
    write_weights(folder, c.new_lm(cfg, seed, quiet), cfg, rename, dtype)
    return folder, c.load_lm(folder)


def plain(
    out, name, cfg, steps=27, seed=1, rename=c.join_projections, dtype=torch.float32, quiet=False
):
    """A model without conditions: one folder, one probe."""
    folder, lm = start(out, name, cfg, seed, rename, dtype, quiet)
    conditions = {} if cfg.get("fuser") else None
    codes = c.random_codes(cfg, steps, seed + 1)
    c.save_json(folder / "expect.json", {"runs": [write_run(folder, lm, codes, conditions)]})


def provide(lm, texts, tensors=None):
    return lm.condition_provider.prepare_and_provide(
        [ConditionAttributes(text=texts, tensor=tensors or {})]
    )


def hibiki(out, name, cfg, seed):
    """Without a condition it is "very_good"; then each kind of index."""
    folder, lm = start(out, name, cfg, seed)
    runs = []
    for index, value in enumerate(("very_good", "very_bad", None)):
        codes = c.random_codes(cfg, 23, seed + index)
        codes[0, 4::5] = 2  # end of stream reads back as padding in this family
        inputs = {}
        if index:
            number = DESCRIPTION.index(value) if value else -1
            inputs["condition.description"] = torch.tensor([number], dtype=torch.int32)
        runs.append(
            write_run(
                folder,
                lm,
                codes,
                provide(lm, {"description": value}),
                inputs,
                str(index + 1) if index else "",
            )
        )
    c.save_json(folder / "expect.json", {"runs": runs})


def tts(out, name, cfg, seed):
    """Speaker vectors with a masked middle, then defaults, then absent conditions."""
    folder, lm = start(out, name, cfg, seed)
    g = c.rng(seed + 9)
    dim = cfg["conditioners"]["speaker_wavs"]["tensor"]["dim"]
    runs = []
    for index, (cfg_coef, frames, masked) in enumerate(
        (("3.5", 12, (4, 9)), ("2.0", 6, (0, 0)), (None, 5, (0, 5)))
    ):
        codes = c.random_codes(cfg, 21, seed + index)
        speaker = c.randn(g, frames, dim)
        mask = torch.ones(frames, dtype=torch.bool)
        mask[slice(*masked)] = False
        inputs = {
            "condition.speaker_wavs": speaker,
            "condition.speaker_wavs.mask": mask.to(torch.uint8),
        }
        if index != 1:  # run 2: the family's defaults, "2.0" and "ok"
            inputs["condition.cfg"] = torch.tensor(
                [CFG.index(cfg_coef) if cfg_coef else -1], dtype=torch.int32
            )
            inputs["condition.control"] = torch.tensor([0], dtype=torch.int32)
        conditions = provide(
            lm,
            {"cfg": cfg_coef, "control": "ok"},
            {"speaker_wavs": TensorCondition(speaker[None], mask[None])},
        )
        runs.append(
            write_run(folder, lm, codes, conditions, inputs, str(index + 1) if index else "")
        )
    c.save_json(folder / "expect.json", {"runs": runs})


# What the official constructors accept beside the published values.
LAYER_NORM_SIN = variant(
    norm="layer_norm",
    positional_embedding="sin",
    positional_scale=0.02,
    gating="none",
    layer_scale=0.1,
    hidden_scale=4,
    depformer_gating="gelu",
    depformer_layer_scale=0.2,
    depformer_pos_emb="sin",
    depformer_dim_feedforward=None,
)
RMS_SIN_ROPE = variant(
    norm="rms_norm",
    positional_embedding="sin_rope",
    positional_scale=0.02,
    gating="gelu",
    hidden_scale=4,
    depformer_gating="relu",
    depformer_dim_feedforward=None,
    depformer_pos_emb="rope",
    depformer_multi_linear=False,
    max_period=300,
)
NO_POSITION = variant(
    norm="layer_norm_f32",
    positional_embedding="none",
    gating="identity",
    norm_emb=True,
    bias_proj=True,
    depformer_dim_feedforward=[48, 30, 24],
    depformer_gating="mish",
    kv_repeat=2,
    depformer_norm="rms_norm",
    depformer_pos_emb="rope_concat",
)
# Sets 0, 1 and 3 are in the file, no step uses them; set numbers go beyond the steps.
IDLE_SETS = variant(
    n_q=3,
    dep_q=2,
    delays=[0, 0, 1, 0],
    num_layers=1,
    depformer_num_layers=1,
    depformer_weights_per_step_schedule=[4, 2],
    depformer_dim_feedforward=[24, 27, 30, 33, 36],
)
# Logits for words that text_emb does not have.
MORE_WORDS_OUT = variant(
    n_q=2,
    dep_q=1,
    delays=[0, 0, 1],
    num_layers=1,
    depformer_num_layers=1,
    text_card_out=40,
)

CASES = {
    "moshi/plain": lambda out: plain(out, "moshi/plain", MOSHI),
    "moshi/small": lambda out: plain(
        out,
        "moshi/small",
        variant(
            n_q=4,
            dep_q=2,
            delays=[0, 0, 1, 0, 1],
            dim=20,
            num_heads=2,
            context=16,
            max_period=700,
            num_layers=3,
            depformer_dim_feedforward=48,
        ),
        40,
        seed=2,
    ),
    "moshi/schedule_one_set": lambda out: plain(
        out,
        "moshi/schedule_one_set",
        variant(n_q=4, dep_q=2, delays=[0, 0, 1, 0, 1], depformer_weights_per_step_schedule=[0, 0]),
        20,
        seed=3,
    ),
    "moshi/in_projs": lambda out: plain(
        out, "moshi/in_projs", variant(), seed=4, rename=dict, quiet=True
    ),
    "moshi/bf16": lambda out: plain(out, "moshi/bf16", variant(), seed=5, dtype=torch.bfloat16),
    "moshi/f16": lambda out: plain(out, "moshi/f16", variant(), seed=6, dtype=torch.float16),
    "hibiki/2b": lambda out: hibiki(out, "hibiki/2b", HIBIKI_2B, 21),
    "hibiki/1b": lambda out: hibiki(out, "hibiki/1b", HIBIKI_1B, 22),
    "hibiki/zero": lambda out: plain(out, "hibiki/zero", HIBIKI_ZERO, seed=23),
    "hibiki/zero_inherited": lambda out: plain(
        out,
        "hibiki/zero_inherited",
        variant(HIBIKI_ZERO, without=("depformer_kv_repeat",)),
        seed=24,
    ),
    "personaplex/7b": lambda out: plain(out, "personaplex/7b", PERSONAPLEX, seed=25),
    "stt/1b": lambda out: plain(out, "stt/1b", STT, 34, seed=26),
    "stt/2.6b": lambda out: plain(
        out,
        "stt/2.6b",
        variant(STT, without=("extra_heads_num_heads", "extra_heads_dim")),
        30,
        seed=27,
    ),
    "tts/1.6b": lambda out: tts(out, "tts/1.6b", TTS_1B6, 28),
    "tts/0.75b": lambda out: plain(out, "tts/0.75b", TTS_0B75, seed=29),
    "variant/layer_norm_sin": lambda out: plain(
        out, "variant/layer_norm_sin", LAYER_NORM_SIN, seed=31, quiet=True
    ),
    "variant/rms_sin_rope": lambda out: plain(
        out, "variant/rms_sin_rope", RMS_SIN_ROPE, seed=32, quiet=True
    ),
    "variant/idle_sets": lambda out: plain(out, "variant/idle_sets", IDLE_SETS, seed=34),
    "variant/more_words_out": lambda out: plain(
        out, "variant/more_words_out", MORE_WORDS_OUT, seed=35
    ),
    "variant/no_position": lambda out: plain(
        out, "variant/no_position", NO_POSITION, seed=33, quiet=True
    ),
}
