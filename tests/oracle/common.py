# SPDX-License-Identifier: MIT
"""What every oracle case shares: random weights, the official classes, files."""

import json
import os
import shutil
from pathlib import Path

os.environ.setdefault("NO_TORCH_COMPILE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from moshi.models import loaders
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
torch.set_grad_enabled(False)


class Near(Exception):
    """A decision of the reference is too close to a tie to be compared: try another seed."""


def rng(seed):
    return torch.Generator().manual_seed(seed)


def randn(g, *shape):
    return torch.randn(*shape, generator=g)


def fresh_folder(path):
    path = Path(path)
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path


def save_json(path, value):
    Path(path).write_text(json.dumps(value, indent=1) + "\n")


def save(path, tensors):
    save_file({k: v.detach().contiguous().clone() for k, v in tensors.items()}, str(path))
    Path(path).chmod(0o644)


# --- random weights -----------------------------------------------------------------------------


def randomise(model, seed, gain=1.2):
    """Weights that keep every activation near one, so that each part shows in the output."""
    g = rng(seed)
    for name, p in sorted(model.named_parameters()):
        last = name.split(".")[-1]
        if last == "alpha" or (p.dim() == 1 and last == "weight"):
            new = 1 + 0.3 * randn(g, *p.shape)  # norms
        elif last == "scale":
            new = 0.5 * (1 + 0.3 * randn(g, *p.shape))  # layer scale: 0.01 would hide faults
        elif last == "bias":
            new = 0.3 * randn(g, *p.shape)  # large: shows a bias added twice
        elif last == "learnt_padding":
            new = 0.5 * randn(g, *p.shape)
        elif last == "weight_g":
            new = 1 + 0.3 * randn(g, *p.shape).abs()
        elif "emb" in name.split(".")[-2] and p.dim() == 2:
            new = 0.5 * randn(g, *p.shape)
        elif p.dim() == 3:
            new = randn(g, *p.shape) * conv_scale(name, p, gain)
        else:
            new = randn(g, *p.shape) * gain / p.shape[-1] ** 0.5
        if name.startswith(("text_linear", "linears", "extra_heads")):
            new = new * 3  # far apart: no near ties
        p.data.copy_(new)


def hush(model, prefixes, factor=0.01):
    """Makes what enters the transformers so small that the epsilons of their norms count."""
    for name, p in model.named_parameters():
        if name.startswith(prefixes):
            p.data.mul_(factor)


def conv_scale(name, p, gain):
    if "convtr" in name:  # [in, out, k], each output sees two kernel taps
        return gain / (p.shape[0] * 2) ** 0.5 if p.shape[1] > 1 else 0.7
    return gain / (p.shape[1] * p.shape[2]) ** 0.5


def randomise_codebooks(quantizer, seed):
    """Level n has vectors of about 0.6^n; some entries are barely used, where the clamp decides."""
    g = rng(seed + 1)
    for half in (quantizer.rvq_first, quantizer.rvq_rest):
        for level, layer in enumerate(half.vq.layers):
            book = layer._codebook
            bins = book.cluster_usage.shape[0]
            usage = torch.rand(bins, generator=g) * 20 + 0.05
            usage[1::7] = 0.0
            usage[3::11] = 1e-6
            usage[5::13] = 3e-5
            vectors = randn(g, bins, book.dim) * 0.6**level
            book.cluster_usage.copy_(usage)
            book.embedding_sum.copy_(vectors * usage.clamp(min=1e-5)[:, None])
            book._initialized.fill_(1)


# --- names --------------------------------------------------------------------------------------


def join_projections(state):
    """`in_projs.{i}.weight` -> `in_proj_weight`, `out_projs.{i}.weight` -> `out_proj.weight`."""
    out, groups = {}, {}
    for name, value in state.items():
        for part, joined in (("in_projs", "in_proj_weight"), ("out_projs", "out_proj.weight")):
            if f".{part}." in name:
                head, tail = name.split(f".{part}.")
                index = int(tail.split(".")[0])
                groups.setdefault(f"{head}.{joined}", {})[index] = value
                break
        else:
            out[name] = value
    for name, parts in groups.items():
        out[name] = torch.cat([parts[i] for i in range(len(parts))])
    return out


# --- the codec ----------------------------------------------------------------------------------


def new_mimi(config, seed, codebooks=None, quiet=False):
    mimi = loaders.get_mimi(None, config, num_codebooks=codebooks or config["quantizer"]["n_q"])
    randomise(mimi, seed)
    if quiet:
        last = len(mimi.encoder.model) - 1
        hush(mimi, (f"encoder.model.{last}.", "upsample."))
    randomise_codebooks(mimi.quantizer, seed)
    tame(mimi, seed)
    return mimi


def tame(mimi, seed):
    """Scales the last layer until the sound stays within +-1, so that no WAV clips it."""
    last = [m for m in mimi.decoder.model.modules() if isinstance(m, torch.nn.Conv1d)][-1]
    codes = torch.randint(0, mimi.cardinality, (mimi.num_codebooks, 12), generator=rng(seed + 2))
    scale = 0.5 / mimi_decode(mimi, codes).abs().max()
    for p in last.parameters():
        p.data.mul_(scale)


def load_mimi(folder, config, weights="mimi.safetensors", codebooks=None):
    return loaders.get_mimi(
        Path(folder) / weights, config, num_codebooks=codebooks or config["quantizer"]["n_q"]
    )


def pad_frames(pcm, size):
    return torch.nn.functional.pad(pcm, (0, -pcm.shape[-1] % size))


def mimi_encode(mimi, pcm):
    """Frame by frame through the streaming classes: latent [d, F], codes [n_q, F]."""
    size = mimi.frame_size
    pcm = pad_frames(pcm, size)
    latents, codes = [], []
    with mimi.streaming(1):
        for frame in pcm.split(size):
            latents.append(mimi._encode_to_unquantized_latent(frame[None, None]))
            codes.append(mimi.quantizer.encode(latents[-1]))
    return torch.cat(latents, -1)[0], torch.cat(codes, -1)[0]


def mimi_decode(mimi, codes):
    with mimi.streaming(1):
        return torch.cat(
            [mimi.decode(codes[None, :, f : f + 1].long()) for f in range(codes.shape[1])], -1
        )[0, 0]


def check_codes(mimi, latent, codes, margin=3e-4):
    """Refuse codes whose distance to the runner-up could be rounding. In f64."""
    first, rest = mimi.quantizer.rvq_first, mimi.quantizer.rvq_rest
    x = latent.double()
    row = 0
    for half in (first, rest):
        r = (half.input_proj.weight[:, :, 0].double() @ x).T
        for level in range(half.n_q):
            table = half.vq.layers[level]._codebook.embedding.double()
            d = ((r[:, None] - table[None]) ** 2).sum(-1)
            best = d.topk(2, largest=False)
            gap = (best.values[:, 1] - best.values[:, 0]) / (best.values[:, 0] + (r**2).sum(-1))
            if (best.indices[:, 0] != codes[row]).any() or gap.min() < margin:
                raise Near(f"codebook {row}: gap {gap.min():.1e}")
            r = r - table[best.indices[:, 0]]
            row += 1


def sound(g, n, rate):
    """A few gliding tones, noise and a silent stretch, in [-1, 1]."""
    t = torch.arange(n) / rate
    x = torch.zeros(n)
    for _ in range(4):
        f = (40 + 0.2 * rate * torch.rand(1, generator=g)) * (1 + 0.3 * torch.sin(9 * t))
        x += 0.2 * torch.rand(1, generator=g) * torch.sin(2 * torch.pi * torch.cumsum(f / rate, 0))
    x += 0.1 * randn(g, n)
    x[n // 2 : n // 2 + n // 8] = 0
    return x.clamp(-1, 1)


# --- the language model -------------------------------------------------------------------------


def lm_kwargs(config):
    """The constructor's arguments, taken from config.json as CheckpointInfo does."""
    drop = (
        "moshi_name",
        "mimi_name",
        "mimi_config_name",
        "tokenizer_name",
        "lora_name",
        "model_type",
        "lm_gen_config",
        "tts_config",
        "stt_config",
        "model_id",
        "version",
    )
    return json.loads(json.dumps({k: v for k, v in config.items() if k not in drop}))


def new_lm(config, seed, quiet=False):
    kwargs = lm_kwargs(config)
    for key in ("lora", "lora_rank", "lora_scaling", "quantize"):
        kwargs.pop(key, None)
    lm = loaders.get_moshi_lm(None, kwargs, dtype=torch.float32)
    randomise(lm, seed)
    if quiet:
        hush(lm, ("emb.", "text_emb.", "depformer_emb.", "depformer_text_emb.", "depformer_in."))
    return lm


def checkpoint(folder):
    """CheckpointInfo of a local folder: what the official loaders make of config.json."""
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    part = lambda key, default: folder / config.get(key, default)
    lora = folder / config["lora_name"] if "lora_name" in config else None
    mimi_config = folder / config["mimi_config_name"] if "mimi_config_name" in config else None
    info = loaders.CheckpointInfo.from_hf_repo(
        "local",
        part("moshi_name", "model.safetensors"),
        part("mimi_name", "mimi.safetensors"),
        part("tokenizer_name", "tokenizer.model"),
        folder / "config.json",
        mimi_config,
        lora,
    )
    info.lm_config.pop("version", None)  # PersonaPlex has it; the loader would refuse it
    return info


def load_lm(folder):
    return checkpoint(folder).get_moshi(dtype=torch.float32)


def random_codes(config, steps, seed, absent=0.1):
    """Delayed codes as the generation loop would feed them, plus absent (-1) tokens."""
    g = rng(seed)
    delays, card, text_card = config["delays"], config["card"], config["text_card"]
    codes = torch.randint(0, card, (1 + config["n_q"], steps), generator=g)
    codes[0] = torch.randint(0, text_card, (steps,), generator=g)
    demux = config.get("demux_second_stream") or config.get("demux_second_text_stream")
    if demux:
        second = torch.randint(-1, text_card, (steps,), generator=g)
        second[torch.rand(steps, generator=g) < 0.4] = -1
        codes[0] = (second + 1) * (text_card + 1) + codes[0]
    codes[torch.rand(codes.shape, generator=g) < absent] = -1
    for k, delay in enumerate(delays):
        codes[k, : delay + 1] = text_card if k == 0 else card
    return codes


def teacher_force(lm, codes, conditions=None):
    """Step by step through the official streaming pieces; the tensors of `parley probe`."""
    condition_sum = lm.fuser.get_sum(conditions) if conditions else None
    cross = lm.fuser.get_cross(conditions) if conditions else None
    steps = codes.shape[1]
    text, audio, heads = [], [], []
    lm.set_streaming_detached(True)
    with lm.streaming(1):
        for s in range(steps):
            h, logits = lm.forward_text(codes[None, :, s : s + 1], condition_sum, cross)
            text.append(logits[0, 0, 0])
            heads.append(
                torch.stack([head(h)[0, 0].softmax(-1) for head in lm.extra_heads])
                if len(lm.extra_heads)
                else None
            )
            if lm.dep_q == 0:
                continue
            if s + 1 == steps:
                audio.append(torch.zeros(lm.dep_q, lm.card))
                continue
            with lm.depformer.streaming(1):
                audio.append(
                    torch.stack(
                        [
                            lm.forward_depformer(k, codes[None, k : k + 1, s + 1 : s + 2], h)[
                                0, 0, 0
                            ]
                            for k in range(lm.dep_q)
                        ]
                    )
                )
    out = {"text_logits": torch.stack(text)}
    if audio:
        out["audio_logits"] = torch.stack(audio, 1)
    if heads[0] is not None:
        out["extra_heads"] = torch.stack(heads, 1)
    return {k: v.float() for k, v in out.items()}
