# SPDX-License-Identifier: MIT
"""The same language model in every file format: names, quantised weights, LoRA adapters."""

import torch
from moshi.conditioners import TensorCondition
from moshi.modules.lora import replace_all_linear_with_lora

import common as c
import lm_cases

# --- other names ----------------------------------------------------------------------------------


def sets(cfg):
    """Weight set of each depformer step, and the number of sets."""
    schedule = cfg.get("depformer_weights_per_step_schedule") or list(range(cfg["dep_q"]))
    return schedule, max(schedule) + 1


def by_slice(state, cfg, prefix, attn_in, norm_name):
    """The depformer as one module a step: shared sets are repeated."""
    schedule, n_set = sets(cfg)
    out = {}
    for k, w in enumerate(schedule):
        base = f"{prefix}{k}."
        out[base + "linear_in.weight"] = state[f"depformer_in.{w}.weight"]
        out[base + "linear_out.weight"] = state[f"linears.{k}.weight"]
        source = "depformer_text_emb" if k == 0 else f"depformer_emb.{k - 1}"
        for part in ("weight", "low_rank.weight", "out1.weight", "out2.weight"):
            if f"{source}.{part}" in state:
                out[f"{base}emb.{part}"] = state[f"{source}.{part}"]
        for layer in range(cfg["depformer_num_layers"]):
            src, dst = f"depformer.layers.{layer}.", f"{base}transformer.layers.{layer}."
            out[f"{dst}self_attn.{attn_in}"] = state[src + "self_attn.in_proj_weight"].chunk(n_set)[
                w
            ]
            out[f"{dst}self_attn.out_proj.weight"] = state[src + "self_attn.out_proj.weight"].chunk(
                n_set
            )[w]
            for norm in ("norm1", "norm2"):
                alpha = state[f"{src}{norm}.alpha"]
                out[f"{dst}{norm}.{norm_name}"] = alpha[0, 0] if norm_name == "weight" else alpha
            for part in ("linear_in", "linear_out"):
                out[f"{dst}gating.{part}.weight"] = state[f"{src}gating.{w}.{part}.weight"]
    return out


DEPFORMER = ("depformer", "linears.")


def candle_names(cfg):
    def rename(state):
        state = c.join_projections(state)
        top = {k: v for k, v in state.items() if not k.startswith(DEPFORMER)}
        return {**top, **by_slice(state, cfg, "depformer.", "in_proj_weight", "alpha")}

    return rename


def mlx_names(cfg):
    def rename(state):
        state = c.join_projections(state)
        out = {}
        for key, value in state.items():
            if key.startswith(DEPFORMER):
                continue
            if key.endswith(".alpha"):
                key, value = key[:-5] + "weight", value[0, 0]
            if key.startswith("emb."):
                key = "audio_embs." + key[4:]
            out[key.replace(".in_proj_weight", ".in_proj.weight")] = value
        return {**out, **by_slice(state, cfg, "depformer.slices.", "in_proj.weight", "weight")}

    return rename


# --- quantised ------------------------------------------------------------------------------------


def mlx_quantize(w, bits, group):
    """(packed U32, scales, biases) of a bf16 matrix as mx.quantize has them: f32 stored as bf16."""
    rows, cols = w.shape
    x = w.float().reshape(rows, cols // group, group)
    low, high = x.amin(-1), x.amax(-1)
    top = torch.tensor(float(2**bits - 1))
    from_low = low.abs() > high.abs()
    scale = torch.maximum((high - low) / top, torch.tensor(1e-7))
    scale = torch.where(from_low, scale, -scale)
    edge = torch.where(from_low, low, high)
    q0 = torch.round(edge / scale)
    scale = torch.where(q0 != 0, edge / q0, scale)
    bias = torch.where(q0 != 0, edge, torch.zeros_like(edge))
    q = torch.round((x - bias[..., None]) / scale[..., None]).clamp(0, float(top)).to(torch.int64)
    per_word = 32 // bits
    q = q.reshape(rows, cols // per_word, per_word)
    words = (q << (torch.arange(per_word) * bits)).sum(-1)
    return words.to(torch.uint32), scale.bfloat16(), bias.bfloat16()


def mlx_dequantize(words, scale, bias, bits):
    rows, n_word = words.shape
    per_word = 32 // bits
    q = (words.to(torch.int64)[..., None] >> (torch.arange(per_word) * bits)) & (2**bits - 1)
    q = q.reshape(rows, scale.shape[1], -1).float()
    return (q * scale.float()[..., None] + bias.float()[..., None]).reshape(rows, -1)


def quantizable(key, value):
    return value.dim() == 2 and key.endswith("weight")


def mlx_quantized(name, cfg, bits, group, seed):
    def write(out):
        folder = c.fresh_folder(out / name)
        c.save_json(folder / "config.json", cfg)
        lm = c.new_lm(cfg, seed)
        state = {k: v.bfloat16() for k, v in c.join_projections(lm.state_dict()).items()}
        tensors = {}
        for key, value in mlx_names(cfg)(state).items():
            if quantizable(key, value):
                head = key[: -len("weight")]
                tensors[key], tensors[head + "scales"], tensors[head + "biases"] = mlx_quantize(
                    value, bits, group
                )
            else:
                tensors[key] = value
        c.save(folder / cfg["moshi_name"], tensors)
        exact = {
            k: (
                mlx_dequantize(*mlx_quantize(v, bits, group), bits)
                if quantizable(k, v)
                else v.float()
            )
            for k, v in state.items()
        }
        lm.load_state_dict(exact)
        codes = c.random_codes(cfg, 19, seed + 1)
        c.save_json(folder / "expect.json", {"runs": [lm_cases.write_run(folder, lm, codes)]})

    return write


def int8_rows(w):
    absmax = w.float().abs().amax(1)
    q = torch.round(w.float() * (127 / absmax)[:, None]).clamp(-127, 127).to(torch.int8)
    return q, absmax, q.float() * absmax[:, None] / 127


def torch_int8(name, cfg, seed, rename):
    """Every nn.Linear as int8 rows and their absolute maxima; the rest bf16."""

    def write(out):
        folder = c.fresh_folder(out / name)
        c.save_json(folder / "config.json", {**cfg, "quantize": True})
        lm = c.new_lm(cfg, seed)
        linear = {f"{n}.weight" for n, m in lm.named_modules() if isinstance(m, torch.nn.Linear)}
        tensors, exact = {}, {}
        for key, value in lm.state_dict().items():
            if key in linear:
                tensors[key], tensors[key + "_scb"], exact[key] = int8_rows(value)
            else:
                tensors[key] = value if key.startswith("condition_provider.") else value.bfloat16()
                exact[key] = tensors[key].float()
        c.save(folder / cfg["moshi_name"], rename(tensors))
        lm.load_state_dict(exact)
        codes = c.random_codes(cfg, 19, seed + 1)
        c.save_json(folder / "expect.json", {"runs": [lm_cases.write_run(folder, lm, codes)]})

    return write


def join_int8(tensors):
    """`in_proj_weight` with `in_proj_weight_scb`, `out_proj.weight` with `out_proj.weight_scb`."""
    scb = {k[:-4]: v for k, v in tensors.items() if k.endswith("_scb")}
    rest = {k: v for k, v in tensors.items() if not k.endswith("_scb")}
    return {
        **c.join_projections(rest),
        **{k + "_scb": v for k, v in c.join_projections(scb).items()},
    }


# --- LoRA -----------------------------------------------------------------------------------------


def join_lora(tensors):
    """Older adapters: one `in_proj.lora_A.weight` for all sets, stacked along dim 0."""
    out, groups = {}, {}
    for key, value in tensors.items():
        for part, joined in (("in_projs", "in_proj"), ("out_projs", "out_proj")):
            if f".{part}." in key:
                head, tail = key.split(f".{part}.")
                index, rest = tail.split(".", 1)
                groups.setdefault(f"{head}.{joined}.{rest}", {})[int(index)] = value
                break
        else:
            out[key] = value
    return {**out, **{k: torch.cat([v[i] for i in range(len(v))]) for k, v in groups.items()}}


def start_lora(out, name, cfg, seed, rename, dtype=torch.float32, embeddings=()):
    """The folder with config, base and adapter."""
    folder = c.fresh_folder(out / name)
    cfg_lora = {
        **cfg,
        "lora": True,
        "lora_rank": 3,
        "lora_scaling": 1.5,
        "lora_name": "lora.safetensors",
    }
    c.save_json(folder / "config.json", cfg_lora)
    lm = c.new_lm(cfg, seed)
    lm_cases.write_weights(folder, lm, cfg, dtype=dtype)
    replace_all_linear_with_lora(lm, 3, 1.5)
    c.randomise(lm, seed + 7, gain=0.6)
    tensors = {
        k: v.to(dtype) for k, v in lm.state_dict().items() if ".lora_" in k or k in embeddings
    }
    c.save(folder / "lora.safetensors", rename(tensors))
    return folder


def lora(name, cfg, seed, rename, dtype=torch.float32, embeddings=()):
    def write(out):
        folder = start_lora(out, name, cfg, seed, rename, dtype, embeddings)
        codes = c.random_codes(cfg, 19, seed + 1)
        c.save_json(
            folder / "expect.json", {"runs": [lm_cases.write_run(folder, c.load_lm(folder), codes)]}
        )

    return write


def lora_cross(out):
    """A cross-attention's in_proj is one module: lora_B has three times its width in rows."""
    folder = start_lora(out, "format/lora_cross", CROSS, 53, dict)
    # The official cross-attention wants plain Linears: it is for fused adapters alone.
    lm = c.checkpoint(folder).get_moshi(dtype=torch.float32, fuse_lora=True)
    speaker = c.randn(c.rng(55), 7, CROSS["conditioners"]["speaker_wavs"]["tensor"]["dim"])
    mask = torch.ones(7, dtype=torch.bool)
    mask[2:4] = False
    inputs = {
        "condition.speaker_wavs": speaker,
        "condition.speaker_wavs.mask": mask.to(torch.uint8),
    }
    conditions = lm_cases.provide(
        lm, {}, {"speaker_wavs": TensorCondition(speaker[None], mask[None])}
    )
    codes = c.random_codes(CROSS, 19, 54)
    c.save_json(
        folder / "expect.json",
        {"runs": [lm_cases.write_run(folder, lm, codes, conditions, inputs)]},
    )


SHAPE = lm_cases.variant(
    n_q=5,
    dep_q=4,
    delays=[0, 0, 1, 1, 1, 0],
    depformer_low_rank_embeddings=5,
    depformer_weights_per_step_schedule=[0, 1, 2, 2],
)
PLAIN = lm_cases.variant()
CROSS = lm_cases.variant(
    lm_cases.TTS_1B6,
    without=("depformer_low_rank_embeddings", "depformer_weights_per_step_schedule"),
    n_q=3,
    dep_q=3,
    delays=[0, 0, 2, 2],
    demux_second_stream=False,
    conditioners={"speaker_wavs": {"type": "tensor", "tensor": {"dim": 9}}},
    fuser={"sum": [], "cross": ["speaker_wavs"]},
)
Q4 = lm_cases.variant(
    dim=32,
    num_heads=2,
    hidden_scale=6,
    depformer_dim=32,
    depformer_dim_feedforward=96,
    depformer_num_layers=1,
    moshi_name="model.q4.safetensors",
)
Q8 = lm_cases.variant(
    dim=64,
    num_heads=4,
    hidden_scale=3,
    depformer_dim=64,
    depformer_dim_feedforward=96,
    n_q=4,
    dep_q=2,
    delays=[0, 0, 1, 0, 1],
    num_layers=1,
    depformer_num_layers=1,
    moshi_name="model.q8.safetensors",
)


def named(name, cfg, seed, rename, dtype=torch.float32):
    """Files that the PyTorch loader cannot read: the outputs are those of the same weights."""

    def write(out):
        folder = c.fresh_folder(out / name)
        c.save_json(folder / "config.json", cfg)
        lm = c.new_lm(cfg, seed)
        lm.load_state_dict({k: v.to(dtype).float() for k, v in lm.state_dict().items()})
        lm_cases.write_weights(folder, lm, cfg, rename, dtype)
        codes = c.random_codes(cfg, 21, seed + 1)
        c.save_json(folder / "expect.json", {"runs": [lm_cases.write_run(folder, lm, codes)]})

    return write


CASES = {
    "format/candle": named("format/candle", SHAPE, 41, candle_names(SHAPE)),
    "format/candle_plain": named(
        "format/candle_plain", PLAIN, 42, candle_names(PLAIN), torch.bfloat16
    ),
    "format/mlx": named("format/mlx", SHAPE, 43, mlx_names(SHAPE)),
    "format/mlx_plain": named("format/mlx_plain", PLAIN, 44, mlx_names(PLAIN), torch.bfloat16),
    "format/mlx_q4": mlx_quantized("format/mlx_q4", Q4, 4, 32, 45),
    "format/mlx_q8": mlx_quantized("format/mlx_q8", Q8, 8, 64, 46),
    "format/int8": torch_int8("format/int8", SHAPE, 47, dict),
    "format/int8_joined": torch_int8("format/int8_joined", SHAPE, 48, join_int8),
    "format/lora": lora("format/lora", SHAPE, 49, dict),
    "format/lora_joined": lora("format/lora_joined", SHAPE, 50, join_lora),
    "format/lora_bf16": lora("format/lora_bf16", PLAIN, 51, dict, torch.bfloat16),
    "format/lora_embeddings": lora(
        "format/lora_embeddings", PLAIN, 52, dict, embeddings=("emb.1.weight", "text_emb.weight")
    ),
    "format/lora_cross": lora_cross,
}
