# SPDX-License-Identifier: MIT
"""Step 2: the tiny Mimi.

Part of every batch is Parley's own voice and some users', reconstructed; the rest are users' voices
from which the first codebook learns what was said, through a phoneme head that exists only in
training.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from moshi.models.loaders import get_mimi
from safetensors.torch import save_file

from . import mel, training
from .audio import FRAME, FRAME_RATE
from .corpus import LABELS_A_FRAME, Clips, shards
from .voices import PHONES, UNKNOWN

SLOTS, LAG = LABELS_A_FRAME, 2      # the head names four 20 ms slots, two of the frame before
SPECTRA = ((256, 24), (512, 48), (1024, 80), (2048, 96))        # (window in samples, mel bands)
UNQUANTISED = 0.06                  # share of the time before the codebooks begin


def mimi_config(filters=16, dim=128, layers=2, bins=512, codebooks=8):
    """The official constructor's arguments, as mimi_config.json holds them."""
    return {
        "sample_rate": 24000, "channels": 1, "frame_rate": 12.5,
        "seanet": {
            "channels": 1, "dimension": dim, "causal": True, "n_filters": filters,
            "n_residual_layers": 1, "activation": "ELU", "compress": 2, "dilation_base": 2,
            "disable_norm_outer_blocks": 0, "kernel_size": 7, "residual_kernel_size": 3,
            "last_kernel_size": 3, "norm": "none", "pad_mode": "constant", "ratios": [8, 6, 5, 4],
            "true_skip": True},
        "quantizer": {
            "dimension": dim // 2, "n_q": codebooks, "bins": bins, "input_dimension": dim,
            "output_dimension": dim},
        "transformer": {
            "d_model": dim, "num_heads": 4, "num_layers": layers, "causal": True,
            "layer_scale": 0.01, "context": 50, "conv_layout": True, "max_period": 10000,
            "gating": "none", "norm": "layer_norm", "positional_embedding": "rope",
            "dim_feedforward": 4 * dim, "input_dimension": dim, "output_dimensions": [dim]}}


class Pieces:
    """Random pieces of the corpus, with the phoneme of every 20 ms."""

    def __init__(self, data):
        self.model = Clips(data, "model")
        self.users = [Clips(data, name) for name in shards(data)]

    def model_piece(self, rng, frames):
        """Silence, two replies, silence: mostly on the frame grid, because Parley will speak so.

        -> float32 [frames * FRAME], labels u8 [4 * frames]
        """
        room = 2 * frames + 400
        x = np.zeros(room * FRAME, np.float32)
        labels = np.zeros(room * LABELS_A_FRAME, np.uint8)
        at = frames
        for _ in range(2):
            fact = self.model.facts[rng.integers(len(self.model.facts))]
            sound, names = self.model.cut(fact["frame"], fact["frames"])
            x[at * FRAME:at * FRAME + len(sound)] = sound
            labels[at * LABELS_A_FRAME:at * LABELS_A_FRAME + len(names)] = names
            last = at + fact["frames"]
            at = last + int(rng.integers(1, 12))
        first = int(rng.integers(frames - frames // 2, last - 3))
        x, labels = x[first * FRAME:], labels[first * LABELS_A_FRAME:]
        if rng.random() < 0.2:
            skip = int(rng.integers(LABELS_A_FRAME))
            x, labels = x[skip * FRAME // LABELS_A_FRAME:] * rng.uniform(0.3, 1.2), labels[skip:]
        return x[:frames * FRAME], labels[:frames * LABELS_A_FRAME]

    def user_piece(self, rng, frames):
        """A random part of a question. As model_piece."""
        part = self.users[rng.integers(len(self.users))]
        fact = part.facts[rng.integers(len(part.facts))]
        n = min(frames, fact["frames"])
        sound, names = part.cut(fact["frame"] + int(rng.integers(fact["frames"] - n + 1)), n)
        return (np.pad(sound, (0, frames * FRAME - len(sound))),
                np.pad(names, (0, frames * LABELS_A_FRAME - len(names))))

    def batch(self, rng, model, user, frames):
        """-> float32 [model + user, 1, frames * FRAME], labels [model + user, 4 * frames]"""
        pieces = [self.model_piece(rng, frames) for _ in range(model)]
        pieces += [self.user_piece(rng, frames) for _ in range(user)]
        sounds, labels = zip(*pieces)
        return (torch.from_numpy(np.stack(sounds).astype(np.float32))[:, None],
                torch.from_numpy(np.stack(labels)).long())


class Spectra(nn.Module):
    """Distances of two sounds at several resolutions."""

    def __init__(self):
        super().__init__()
        for size, bands in SPECTRA:
            self.register_buffer(f"window{size}", torch.hann_window(size))
            self.register_buffer(f"mel{size}", torch.from_numpy(mel.filters(size, bands)))

    def forward(self, y, x):
        """y, x [B, n] -> mean log-mel distance (nepers), mean linear distance relative to x"""
        log = linear = 0.0
        for size, _ in SPECTRA:
            window, bank = getattr(self, f"window{size}"), getattr(self, f"mel{size}")
            a, b = (torch.stft(s, size, size // 4, window=window, return_complex=True).abs()
                    for s in (y, x))
            log_a, log_b = (((bank @ s) + mel.FLOOR).log() for s in (a, b))
            log = log + (log_a - log_b).abs().mean()
            linear = linear + (a - b).abs().mean() / b.abs().mean().clamp(min=1e-3)
        return log / len(SPECTRA), linear / len(SPECTRA)


class PhonemeHead(nn.Module):
    """Names the phonemes of a frame from its first codebook; in place of distilling WavLM."""

    def __init__(self, dim):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, 256), nn.ReLU(),
                                 nn.Linear(256, SLOTS * len(PHONES)))

    def forward(self, z):
        """[B, dim, T] -> [B, T, SLOTS, phones]"""
        return self.net(z.transpose(1, 2)).unflatten(2, (SLOTS, len(PHONES)))


def slots(labels):
    """[B, 4 T] -> [B, T, SLOTS], late by LAG slots: a causal encoder cannot look ahead"""
    return F.pad(labels, (LAG, 0))[:, :labels.shape[1]].unflatten(1, (-1, SLOTS))


def encode(mimi, x, amp):
    """[B, 1, n] -> latent [B, dim, frames], before the quantiser"""
    with amp:
        z = mimi.encoder(x)
        (z,) = mimi.encoder_transformer(z)
        z = mimi._to_framerate(z)
    return z.float()


def decode(mimi, z, amp):
    """[B, dim, frames] -> [B, 1, n]"""
    with amp:
        z = mimi._to_encoder_framerate(z)
        (z,) = mimi.decoder_transformer(z)
        y = mimi.decoder(z)
    return y.float()


@torch.no_grad()
def unit_variance(mimi, x):
    """Scale every convolution so that real speech x [B, 1, n] gives outputs of deviation 1.

    Without it the signal of so deep and narrow a network dies out below its biases, and the first
    thousand steps are lost.
    """
    parts = (mimi.encoder, mimi.downsample, mimi.upsample, mimi.decoder)
    convs = [m for part in parts for m in part.modules()
             if isinstance(m, (nn.Conv1d, nn.ConvTranspose1d))]

    def scale(conv, _, out):
        deviation = out.std().clamp(min=1e-8)
        conv.weight.div_(deviation)
        if conv.bias is not None:
            conv.bias.zero_()
        return out / deviation

    hooks = [conv.register_forward_hook(scale) for conv in convs]
    mimi.decoder(mimi._to_encoder_framerate(mimi._to_framerate(mimi.encoder(x))))
    for hook in hooks:
        hook.remove()
    convs[-1].weight.mul_(0.1)


@torch.no_grad()
def begin_codebooks(mimi, pieces, rng, frames, device, amp):
    """Every codebook begins from a k-means of a large batch, one after the other.

    A pass begins at most one codebook of each half. Each has a batch of its own: what the codebooks
    before it left of their own batch would be smaller than what they leave of others.
    """
    for _ in range(mimi.total_codebooks + 2):
        z = torch.cat([encode(mimi, pieces.batch(rng, 16, 16, frames)[0].to(device), amp)
                       for _ in range(5)])
        mimi.quantizer.rvq_first(z, FRAME_RATE)
        mimi.quantizer.rvq_rest(z, FRAME_RATE)


def export(mimi, config, run):
    """bf16, each codebook's usage folded into its vectors: what is stored is what tokenises."""
    state = {k: v.detach().float().cpu().contiguous() for k, v in mimi.state_dict().items()}
    for name in [k for k in state if k.endswith("embedding_sum")]:
        usage = name.replace("embedding_sum", "cluster_usage")
        state[name] = state[name] / state[usage].clamp(min=1e-5)[:, None]
        state[usage] = torch.ones_like(state[usage])
    state = {k: v.to(torch.bfloat16) for k, v in state.items()}
    training.write_atomically(run / "mimi.safetensors", lambda path: save_file(state, path))
    (run / "mimi_config.json").write_text(json.dumps(config, indent=2) + "\n")


def load(run, device):
    """The exported codec, in f32 and ready to encode. -> mimi, config"""
    config = json.loads((Path(run) / "mimi_config.json").read_text())
    return get_mimi(Path(run) / "mimi.safetensors", config, device), config


def quantise(mimi, z, decoded, phase):
    """Latents [B, dim, T], of which the first `decoded` are decoded later.

    -> first codebook's part [B, dim, T], the others' part [decoded, dim, T], commitment
    """
    first, rest = mimi.quantizer.rvq_first, mimi.quantizer.rvq_rest
    if phase == "unquantised":
        return (first.output_proj(first.input_proj(z)),
                rest.output_proj(rest.input_proj(z[:decoded])), z.new_zeros(()))
    q1, q2 = first(z, FRAME_RATE), rest(z[:decoded], FRAME_RATE)
    return q1.x, q2.x, q1.penalty + q2.penalty


class Losses:
    """The loss of one batch and its figures for the log."""

    def __init__(self, mimi, head, device, amp):
        self.mimi, self.head, self.amp = mimi, head, amp
        self.spectra = Spectra().to(device)
        self.rare = torch.ones(len(PHONES), device=device)
        self.rare[0] = 0.3                          # silence is the easy half of the corpus

    def __call__(self, x, labels, decoded, phase):
        """x [B, 1, n], labels [B, 4 T]; the first `decoded` sounds are reconstructed."""
        z = encode(self.mimi, x, self.amp)
        z1, z2, commit = quantise(self.mimi, z, decoded, phase)
        want, named = slots(labels), self.head(z1)
        known = want != UNKNOWN
        phone = F.cross_entropy(named[known], want[known], weight=self.rare)
        right = (named.argmax(-1) == want)[known & (want > 0)].float().mean()
        x = x[:decoded]
        y = decode(self.mimi, z1[:decoded] + z2, self.amp)
        log, linear = self.spectra(y[:, 0], x[:, 0])
        wave = (y - x).abs().mean() / x.abs().mean()
        loss = 2 * log + linear + 0.1 * wave + phone + 0.25 * commit
        return loss, dict(mel=log.item(), lin=linear.item(), wave=wave.item(),
                          commit=commit.item(), phone=phone.item(), right=right.item())


def train(data, run, device, minutes, model_batch, user_batch, frames, filters, layers, rate, seed):
    """Trains the whole codec."""
    training.prepare(seed)
    run, pieces = Path(run), Pieces(data)
    run.mkdir(parents=True, exist_ok=True)
    draw, amp = np.random.default_rng(seed), training.autocast(device)
    config = mimi_config(filters, layers=layers)
    mimi = get_mimi(None, config, device=device).train()
    head = PhonemeHead(config["seanet"]["dimension"]).to(device)
    unit_variance(mimi, pieces.batch(draw, 8, 8, frames)[0].to(device))
    print(f"codec: {sum(p.numel() for p in mimi.parameters())} parameters", flush=True)
    work = training.Run(
        dict(mimi=mimi, head=head), [p for part in (mimi, head) for p in part.parameters()], rate,
        minutes, warm_steps=100, betas=(0.8, 0.99), decay=0.01, device=device, smoothing=0.98,
        state_path=run / "codec.state.pt", log_path=run / "codec.log",
        export=lambda: export(mimi, config, run))
    losses = Losses(mimi, head, device, amp)
    batches = training.feeder(lambda rng: pieces.batch(rng, model_batch, user_batch, frames),
                              seed + work.step, threads=1 if device == "cpu" else 8)
    decoded = model_batch + max(1, user_batch // 5)
    for done in work.steps():
        phase = "unquantised"
        if done > UNQUANTISED:
            phase = "quantised"
            if not work.extra.get("codebooks"):
                begin_codebooks(mimi, pieces, draw, frames, device, amp)
                work.extra["codebooks"] = True
            mimi.quantizer.rvq_rest.no_quantization_rate = 0.3 if done < 0.5 else 0.0
        x, labels = (t.to(device, non_blocking=True) for t in batches.get())
        work.descend(*losses(x, labels, decoded, phase))


@torch.no_grad()
def measure(data, run, device, clips=60):
    """How far what the exported codec makes of Parley's voice is from it."""
    mimi, _ = load(run, device)
    spectra, half, distances = Spectra().to(device), Clips(data, "model"), []
    for fact in half.facts[:clips]:
        x = torch.from_numpy(half.sound(fact["frame"], fact["frames"])).to(device)
        y = mimi.decode(mimi.encode(x[None, None]))[0, 0]
        distances.append(spectra(y[None], x[None])[0].item())
    return dict(clips=len(distances), log_mel_distance=round(float(np.mean(distances)), 3))


def grow(source, run, layers):
    """Begins from another model's codec, with more layers in its transformers.

    The new layers change nothing at first: what they add is scaled by 0.01.
    """
    source, run = Path(source), Path(run)
    run.mkdir(parents=True, exist_ok=True)
    old, config = load(source, "cpu")
    config["transformer"]["num_layers"] = max(layers, config["transformer"]["num_layers"])
    mimi = get_mimi(None, config, device="cpu")
    missing, unexpected = mimi.load_state_dict(old.state_dict(), strict=False)
    if unexpected or any("transformer" not in name for name in missing):
        raise ValueError(f"{source} is another kind of codec")
    export(mimi, config, run)
