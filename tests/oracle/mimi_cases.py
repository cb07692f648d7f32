# SPDX-License-Identifier: MIT
"""Codec checkpoints: shapes, options and file namings, with latents, codes and sound."""

import copy
import re

import torch

import common as c


def config(rate, frame_rate, seanet, quantizer, transformer):
    dim = seanet["dimension"]
    return {
        "sample_rate": rate,
        "channels": 1,
        "frame_rate": frame_rate,
        "seanet": {
            "channels": 1,
            "causal": True,
            "n_residual_layers": 1,
            "activation": "ELU",
            "compress": 2,
            "dilation_base": 2,
            "disable_norm_outer_blocks": 0,
            "kernel_size": 7,
            "residual_kernel_size": 3,
            "last_kernel_size": 3,
            "norm": "none",
            "pad_mode": "constant",
            "true_skip": True,
            **seanet,
        },
        "quantizer": {"input_dimension": dim, "output_dimension": dim, **quantizer},
        "transformer": {
            "causal": True,
            "layer_scale": 0.01,
            "conv_layout": True,
            "max_period": 10000,
            "gating": "none",
            "norm": "layer_norm",
            "positional_embedding": "rope",
            "input_dimension": dim,
            "output_dimensions": [dim],
            **transformer,
        },
    }


# The published ratios with tiny widths; 10 latent steps of context are 5 frames.
PLAIN = config(
    24000,
    12.5,
    {"dimension": 24, "n_filters": 3, "ratios": [8, 6, 5, 4]},
    {"dimension": 12, "n_q": 6, "bins": 40},
    {"d_model": 24, "num_heads": 3, "num_layers": 2, "context": 10, "dim_feedforward": 52},
)

# Odd everything: five latent steps a frame, a context they do not divide, projections around the
# transformer, two dilated residual blocks, kernels of even length.
ODD = config(
    6000,
    200.0,
    {
        "dimension": 24,
        "n_filters": 6,
        "ratios": [3, 2],
        "n_residual_layers": 2,
        "dilation_base": 3,
        "kernel_size": 5,
        "residual_kernel_size": 5,
        "last_kernel_size": 4,
        "compress": 3,
    },
    {"dimension": 8, "n_q": 5, "bins": 37},
    {
        "d_model": 16,
        "num_heads": 2,
        "num_layers": 3,
        "context": 7,
        "dim_feedforward": 40,
        "max_period": 500,
    },
)

# No resampling at all, two semantic codebooks, three ratios.
STRIDE1 = config(
    12000,
    400.0,
    {
        "dimension": 20,
        "n_filters": 4,
        "ratios": [5, 3, 2],
        "kernel_size": 3,
        "n_residual_layers": 3,
        "compress": 1,
    },
    {"dimension": 20, "n_q": 4, "n_q_semantic": 2, "bins": 33},
    {"d_model": 20, "num_heads": 5, "num_layers": 1, "context": 6, "dim_feedforward": 48},
)


def small(**changes):
    """A quick shape for cases about something else; changes are {section: {key: value}}."""
    base = config(
        8000,
        250.0,
        {"dimension": 16, "n_filters": 4, "ratios": [4, 2]},
        {"dimension": 8, "n_q": 4, "bins": 24},
        {"d_model": 16, "num_heads": 2, "num_layers": 2, "context": 9, "dim_feedforward": 32},
    )
    base = copy.deepcopy(base)
    for section, values in changes.items():
        base[section].update(values)
    return base


def write_inputs(folder, mimi, frames, seed, tail=0):
    """in/out: sound -> latent and codes. in2/out2: random codes -> sound."""
    g = c.rng(seed)
    size = mimi.frame_size
    pcm = c.sound(g, frames * size - tail, mimi.sample_rate)
    latent, codes = c.mimi_encode(mimi, pcm)
    c.check_codes(mimi, latent, codes)
    c.save(folder / "in.safetensors", {"pcm": pcm})
    c.save(folder / "out.safetensors", {"latent": latent, "codes": codes.int()})
    codes = torch.randint(0, mimi.cardinality, (mimi.num_codebooks, frames), generator=g)
    codes[:, 1:3] = torch.tensor([1, 3])[: max(0, frames - 1)]  # entries that were hardly ever used
    c.save(folder / "in2.safetensors", {"codes": codes.int()})
    pcm = c.mimi_decode(mimi, codes)
    if pcm.abs().max() >= 1:
        raise c.Near("the sound would clip")
    c.save(folder / "out2.safetensors", {"pcm": pcm})
    c.save_json(
        folder / "expect.json",
        {
            "runs": [
                {"verb": "probe", "in": "in.safetensors", "out": "out.safetensors"},
                {"verb": "probe", "in": "in2.safetensors", "out": "out2.safetensors"},
                {
                    "verb": "codec",
                    "encode": "in.safetensors",
                    "decode": "in2.safetensors",
                    "codes": "out.safetensors",
                    "pcm": "out2.safetensors",
                    "rate": mimi.sample_rate,
                },
            ]
        },
    )


def write_config(folder, cfg):
    c.save_json(
        folder / "config.json",
        {
            "model_type": "mimi",
            "mimi_name": "mimi.safetensors",
            "mimi_config_name": "mimi_config.json",
        },
    )
    c.save_json(folder / "mimi_config.json", cfg)


def build(
    out,
    name,
    cfg,
    frames,
    seed,
    tail=0,
    rename=c.join_projections,
    dtype=torch.float32,
    loads=True,
    quiet=False,
    settle=dict,
):
    """One folder. `settle` changes the official state dict, `rename` turns it into what the file
    holds."""
    for attempt in range(60):
        folder = c.fresh_folder(out / "mimi" / name)
        write_config(folder, cfg)
        mimi = c.new_mimi(cfg, seed + 1000 * attempt, quiet=quiet)
        state = {k: v.to(dtype) for k, v in settle(mimi.state_dict()).items()}
        mimi.load_state_dict({k: v.float() for k, v in state.items()})
        for layers in (mimi.quantizer.rvq_first.vq.layers, mimi.quantizer.rvq_rest.vq.layers):
            for layer in layers:
                layer._codebook._embedding = None  # computed once: the sums have changed
        c.save(folder / "mimi.safetensors", rename(state))
        if loads:
            mimi = c.load_mimi(folder, cfg)
        try:
            write_inputs(folder, mimi, frames, seed, tail)
            return
        except c.Near:
            continue
    raise SystemExit(f"{name}: every seed has a near tie")


def legacy_names(state):
    """The codebook names of older files."""
    old = {"_initialized": "inited", "cluster_usage": "cluster_size", "embedding_sum": "embed_avg"}
    out = {}
    for key, value in c.join_projections(state).items():
        head, dot, last = key.rpartition(".")
        if head.endswith("rvq_rest.vq.layers.1._codebook") and last == "embedding_sum":
            out[head + ".embed_sum"] = value  # both spellings exist
        else:
            out[head + dot + (old.get(last, last) if head.endswith("_codebook") else last)] = value
    return out


def transformers_names(heads):
    """The names of the transformers port, whose q and k rows suit a rotation of halves."""
    swaps = (
        ("rvq_first.vq", "semantic_residual_vector_quantizer"),
        ("rvq_first", "semantic_residual_vector_quantizer"),
        ("rvq_rest.vq", "acoustic_residual_vector_quantizer"),
        ("rvq_rest", "acoustic_residual_vector_quantizer"),
        ("_codebook._initialized", "codebook.initialized"),
        ("_codebook.embedding_sum", "codebook.embed_sum"),
        ("_codebook", "codebook"),
        ("coder.model", "coder.layers"),
        ("_transformer.transformer", "_transformer"),
        ("linear1", "mlp.fc1"),
        ("linear2", "mlp.fc2"),
        ("self_attn.out_proj", "self_attn.o_proj"),
        ("norm1", "input_layernorm"),
        ("norm2", "post_attention_layernorm"),
        ("layer_scale_1", "self_attn_layer_scale"),
        ("layer_scale_2", "mlp_layer_scale"),
    )

    def halves(w):
        rows, cols = w.shape
        return w.view(heads, rows // heads // 2, 2, cols).transpose(1, 2).reshape(rows, cols)

    def rename(state):
        out = {}
        for key, value in c.join_projections(state).items():
            key = re.sub(r"\.(conv|convtr)(\.\1)+\.", ".conv.", key)
            for old, new in swaps:
                key = key.replace(old, new)
            if key.endswith("in_proj_weight"):
                q, k, v = value.chunk(3)
                for name, w in (("q", halves(q)), ("k", halves(k)), ("v", v)):
                    out[key.replace("in_proj_weight", f"{name}_proj.weight")] = w
            else:
                out[key] = value
        return out

    return rename


def transformers_port(out, name, seed, width=8):
    """Proves the naming: the port itself loads the file and gives the same codes. Where its
    quantizer is as wide as what it sees, the port has no projections, and the official class ones
    that change nothing."""
    from transformers import MimiConfig, MimiModel

    def is_projection(key):
        return "quantizer" in key and key.endswith("put_proj.weight")

    def settle(state):
        return {k: torch.eye(16)[..., None] if width == 16 and is_projection(k) else v
                for k, v in state.items()}

    def rename(state):
        return {k: v for k, v in transformers_names(2)(state).items()
                if width != 16 or not is_projection(k)}

    cfg = {**small(seanet={"kernel_size": 3}, quantizer={"bins": 32, "dimension": width}),
           "frame_rate": 500.0}
    build(out, name, cfg, 25, seed, rename=rename, loads=False, settle=settle)
    folder = out / "mimi" / name
    port = MimiModel(
        MimiConfig(
            sampling_rate=8000,
            frame_rate=500,
            hidden_size=16,
            num_filters=4,
            upsampling_ratios=[4, 2],
            kernel_size=3,
            codebook_size=32,
            codebook_dim=width,
            vector_quantization_hidden_dimension=width,
            num_quantizers=4,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            intermediate_size=32,
            sliding_window=1000,
            upsample_groups=16,
        )
    ).eval()
    port.load_state_dict(c.load_file(folder / "mimi.safetensors"), strict=True)
    pcm = c.load_file(folder / "in.safetensors")["pcm"][: 16 * 4]  # before the window matters
    codes = c.load_file(folder / "out.safetensors")["codes"][:, :4]
    assert torch.equal(port.encode(pcm[None, None]).audio_codes[0].int(), codes)


def activation(out, name, seed, kind, **params):
    build(
        out, name, small(seanet={"activation": kind, "activation_params": params}), 13, seed
    )


CASES = {
    "mimi/plain": lambda out: build(out, "plain", PLAIN, 13, 11),
    "mimi/odd": lambda out: build(out, "odd", ODD, 31, 12, tail=13),
    "mimi/stride1": lambda out: build(out, "stride1", STRIDE1, 40, 13, tail=1),
    "mimi/short_context": lambda out: build(  # as long as one frame
        out, "short_context", small(transformer={"context": 4}), 17, 14
    ),
    "mimi/bf16": lambda out: build(out, "bf16", small(), 17, 15, dtype=torch.bfloat16),
    "mimi/f16": lambda out: build(out, "f16", small(), 17, 16, dtype=torch.float16),
    "mimi/in_projs": lambda out: build(out, "in_projs", small(), 17, 17, rename=dict, quiet=True),
    "mimi/legacy_names": lambda out: build(
        out, "legacy_names", small(), 17, 18, rename=legacy_names
    ),
    "mimi/weight_norm": lambda out: build(
        out,
        "weight_norm",
        small(seanet={"norm": "weight_norm", "disable_norm_outer_blocks": 1}),
        17,
        19,
    ),
    "mimi/replicate": lambda out: build(
        out, "replicate", small(seanet={"pad_mode": "replicate", "kernel_size": 3}), 17, 20
    ),
    "mimi/transformers_names": lambda out: transformers_port(out, "transformers_names", 23),
    "mimi/transformers_width": lambda out: transformers_port(out, "transformers_width", 27, 16),
    "mimi/conv_skip": lambda out: build(
        out, "conv_skip", small(seanet={"true_skip": False}), 17, 21
    ),
    "mimi/elu_alpha": lambda out: activation(out, "elu_alpha", 24, "ELU", alpha=0.5),
    "mimi/leaky_relu": lambda out: activation(out, "leaky_relu", 25, "LeakyReLU", negative_slope=0.2),
    "mimi/selu": lambda out: activation(out, "selu", 26, "SELU"),
    "mimi/gated": lambda out: build(
        out,
        "gated",
        small(
            transformer={
                "gating": "silu",
                "norm": "rms_norm_f32",
                "layer_scale": None,
                "positional_embedding": "rope_concat",
                "kv_repeat": 2,
            }
        ),
        17,
        22,
        quiet=True,
    ),
}
