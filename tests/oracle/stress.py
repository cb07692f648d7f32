#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fresh random checkpoints, any shape, against parley: stress.py [--rounds N] [--seed S] PARLEY

Each round draws a codec and a language model from everything that the constructors accept, writes them as
make_goldens.py does and lets tests/golden/run compare. What fails is kept, with its folder named.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import common as c
import lm_cases
import lm_formats
import mimi_cases

RUN = Path(__file__).resolve().parent.parent / "golden" / "run"


def codec(r):
    ratios = [r.choice((2, 3, 4, 5)) for _ in range(r.choice((1, 2, 2, 3)))]
    hop = 1
    for ratio in ratios:
        hop *= ratio
    stride = r.choice((1, 2, 2, 3, 4))
    frame_rate = r.choice((500.0, 800.0, 1000))
    heads, width = r.choice((1, 2, 3)), r.choice((4, 6, 8))
    dim = r.choice((heads * width, 12, 20))
    books = r.choice((2, 3, 5, 8))
    return mimi_cases.config(
        int(hop * stride * frame_rate),
        frame_rate,
        {
            "dimension": dim,
            "n_filters": r.choice((2, 4, 5)),
            "ratios": ratios,
            "n_residual_layers": r.choice((0, 1, 1, 2)),
            "dilation_base": r.choice((1, 2, 3)),
            "kernel_size": r.choice((1, 3, 5, 7)),
            "residual_kernel_size": r.choice((1, 3, 5)),
            "last_kernel_size": r.choice((1, 3, 7)),
            "compress": r.choice((1, 2)),
            "true_skip": r.random() < 0.8,
            "norm": r.choice(("none", "none", "weight_norm")),
            "disable_norm_outer_blocks": r.choice((0, 1)),
        },
        {
            "dimension": r.choice((6, 8, dim)),
            "n_q": books,
            "n_q_semantic": r.choice((1, 1, books - 1)),
            "bins": r.choice((9, 16, 30)),
        },
        {
            "d_model": heads * width,
            "num_heads": heads,
            "num_layers": r.choice((1, 2)),
            "context": stride + r.choice((0, 3, 8, 50)),
            "dim_feedforward": r.choice((17, 32)),
            "layer_scale": r.choice((None, 0.01)),
            "max_period": r.choice((100, 10000)),
            "norm": r.choice(("layer_norm", "layer_norm", "rms_norm_f32")),
            "gating": r.choice(("none", "none", "silu")),
            "positional_embedding": r.choice(("rope", "rope", "sin_rope", "none", "rope_concat")),
        },
    )


GATINGS = (
    "silu",
    "silu",
    "gelu",
    "relu",
    "sigmoid",
    "tanh",
    "leaky_relu",
    "elu",
    "mish",
    "softsign",
    "identity",
)
NORMS = ("rms_norm_f32", "rms_norm_f32", "rms_norm", "layer_norm", "layer_norm_f32")


def schedule(r, dep_q):
    """Weight sets in the order of their first use, as every published schedule has them."""
    out = [0]
    for _ in range(dep_q - 1):
        out.append(r.randint(max(0, out[-1]), max(out) + 1))
    return out


def lm(r):
    heads, width = r.choice((1, 2, 4)), r.choice((4, 6, 8))
    depth_heads, depth_width = r.choice((1, 2, 4)), r.choice((4, 6))
    dep_q = r.choice((0, 1, 2, 3, 5, 8))
    n_user = r.choice((0, 1, 3, 4))
    n_q = max(1, dep_q + n_user)
    cfg = lm_cases.variant(
        dim=heads * width,
        num_heads=heads,
        num_layers=r.choice((1, 2, 3)),
        n_q=n_q,
        dep_q=dep_q,
        delays=[r.choice((0, 1, 2)) for _ in range(n_q + 1)],
        card=r.choice((7, 19, 64)),
        text_card=r.choice((11, 40, 130)),
        context=r.choice((1, 2, 5, 9, 30)),
        max_period=r.choice((50, 10000.0, 100000)),
        hidden_scale=r.choice((2, 3.5, 4, 4.125)),
        gating=r.choice((*GATINGS, "none")),
        norm=r.choice(NORMS),
        layer_scale=r.choice((None, None, 0.1)),
        positional_embedding=r.choice(("rope", "rope", "rope_concat", "sin", "sin_rope", "none")),
        kv_repeat=r.choice((1, 1, heads)),
        depformer_kv_repeat=r.choice((1, 1, depth_heads)),
        depformer_dim=depth_heads * depth_width,
        depformer_num_heads=depth_heads,
        depformer_num_layers=r.choice((1, 2)),
        depformer_dim_feedforward=r.choice((None, 20, 33)),
        depformer_layer_scale=r.choice((None, 0.1)),
        depformer_gating=r.choice(GATINGS),
        depformer_multi_linear=r.random() < 0.8,
        depformer_pos_emb=r.choice(("none", "none", "rope", "sin", "rope_concat")),
        depformer_norm=r.choice((None, *NORMS)),
        depformer_low_rank_embeddings=r.choice((None, None, 3)),
        depformer_weights_per_step_schedule=(
            schedule(r, dep_q) if dep_q and r.random() < 0.5 else None
        ),
        extra_heads_num_heads=r.choice((0, 0, 2)),
        extra_heads_dim=r.choice((2, 6)),
        demux_second_stream=r.random() < 0.2,
        text_card_out=r.choice((None, None, 5)),
        norm_emb=r.random() < 0.1,
        bias_proj=r.random() < 0.1,
        model_type=r.choice(("moshi", "hibiki", "stt", "tts")),
    )
    cfg["norm_emb"] = cfg["norm_emb"] and not cfg["demux_second_stream"]
    return cfg


def plain_shape(cfg):
    """Can the other formats say this model? They know one kind of norm, gates and no biases."""
    return (
        cfg["norm"] == "rms_norm_f32"
        and cfg["gating"] != "none"
        and not (cfg["norm_emb"] or cfg["bias_proj"] or cfg["layer_scale"])
        and not (cfg["depformer_layer_scale"] or cfg["depformer_norm"])
        and cfg["depformer_multi_linear"]
        and cfg["dep_q"] > 0
    )


def write_lm(r, out, name, cfg, seed):
    steps = r.choice((1, 2, 11, 25))
    dtype = r.choice((torch.float32, torch.float32, torch.bfloat16, torch.float16))
    if plain_shape(cfg) and r.random() < 0.7:
        names = r.choice((lm_formats.candle_names, lm_formats.mlx_names))(cfg)
        if cfg["model_type"] != "hibiki":  # whose loader changes the weights it reads
            lm_formats.named(name, cfg, seed, names, dtype)(out)
            return
    rename = r.choice((c.join_projections, dict))
    lm_cases.plain(out, name, cfg, steps, seed, rename, dtype, quiet=r.random() < 0.3)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--all-isas", action="store_true")
    parser.add_argument("parley")
    args = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="parley-stress-"))
    for n in range(args.seed, args.seed + args.rounds):
        r = random.Random(n)
        mimi_cases.build(
            root, f"round{n}", codec(r), r.choice((1, 7, 16)), n, tail=r.choice((0, 0, 1))
        )
        write_lm(r, root, f"lm/round{n}", lm(r), n)
    flags = ["--all-isas"] if args.all_isas else []
    done = subprocess.run([sys.executable, RUN, "--quiet", *flags, "--root", root, args.parley])
    if done.returncode == 0:
        shutil.rmtree(root)
    else:
        print(f"kept: {root}")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
