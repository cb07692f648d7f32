# SPDX-License-Identifier: MIT
"""Voices of RHVoice: statistical models of people who read sentences, as festival's `slt` is one.

Debian's packages librhvoice5 and rhvoice-english, whose engine and these voices are LGPL, and one
voice more under the licence of CMU Arctic, which allows anything. The woman `slt` of the same
package is held out in two other programs; two more of its voices are not free.
"""

import ctypes
import functools
import sys
from pathlib import Path

import numpy as np

from . import audio

VOICES = "Clb Bdl Alan Ksp".split()     # an American woman and man, a Scot, an Indian
DATA = Path("/usr/share/RHVoice")
MORE = Path(sys.prefix) / "share" / "rhvoice-ksp"   # Ksp's repository: Debian has only the others
LIBRARY = "libRHVoice.so.5"

_RATE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_PLAY = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_uint,
                         ctypes.c_void_p)
_NOTICES = ("process_mark word_starts word_ends sentence_starts sentence_ends play_audio done"
            .split())                               # call-backs that are not set


class _Callbacks(ctypes.Structure):
    _fields_ = [("set_sample_rate", _RATE), ("play_speech", _PLAY),
                *((name, ctypes.c_void_p) for name in _NOTICES)]


class _Init(ctypes.Structure):
    _fields_ = [("data_path", ctypes.c_char_p), ("config_path", ctypes.c_char_p),
                ("resource_paths", ctypes.POINTER(ctypes.c_char_p)), ("callbacks", _Callbacks),
                ("options", ctypes.c_uint)]


class _Parameters(ctypes.Structure):
    _fields_ = [("voice_profile", ctypes.c_char_p),
                *((f"absolute_{name}", ctypes.c_double) for name in ("rate", "pitch", "volume")),
                *((f"relative_{name}", ctypes.c_double) for name in ("rate", "pitch", "volume")),
                ("punctuation_mode", ctypes.c_int), ("punctuation_list", ctypes.c_char_p),
                ("capitals_mode", ctypes.c_int), ("flags", ctypes.c_int)]


def has(voice):
    if voice == "Ksp":
        return DATA.is_dir() and (MORE / "voice.info").is_file()
    return (DATA / "voices" / voice.lower()).is_dir()


class _Engine:
    """One for all utterances of this process."""

    def __init__(self):
        lib = self.lib = ctypes.CDLL(LIBRARY)
        lib.RHVoice_new_tts_engine.restype = lib.RHVoice_new_message.restype = ctypes.c_void_p
        lib.RHVoice_new_message.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint,
                                            ctypes.c_int, ctypes.POINTER(_Parameters),
                                            ctypes.c_void_p]
        lib.RHVoice_speak.argtypes = lib.RHVoice_delete_message.argtypes = [ctypes.c_void_p]
        self.rate, self.parts = 24000, []
        more = [str(MORE).encode()] * has("Ksp")
        paths = (ctypes.c_char_p * (len(more) + 1))(*more, None)
        self.init = _Init(str(DATA).encode(), b"/etc/RHVoice", paths,
                          _Callbacks(_RATE(self._set_rate), _PLAY(self._play)), 0)
        self.engine = lib.RHVoice_new_tts_engine(ctypes.byref(self.init))
        if not self.engine:
            raise RuntimeError("RHVoice does not start")

    def _set_rate(self, rate, _):
        self.rate = rate
        return 1

    def _play(self, samples, n, _):
        self.parts.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 1

    def say(self, text, voice, stretch, pitch):
        self.parts = []
        parameters = _Parameters(voice.encode(), 0, 0, 0, 1 / stretch, pitch, 1, 0, None, 0, 1)
        raw = text.encode()
        message = self.lib.RHVoice_new_message(self.engine, raw, len(raw), 0,
                                               ctypes.byref(parameters), None)
        done = message and self.lib.RHVoice_speak(message)
        if message:
            self.lib.RHVoice_delete_message(message)
        if not done or not self.parts:
            raise RuntimeError(f"RHVoice does not say {text!r} as {voice}")
        return audio.resample(audio.to_float(np.concatenate(self.parts)), self.rate)


@functools.lru_cache(1)
def _engine():
    return _Engine()


def say(text, voice, stretch, pitch):
    """voice: of VOICES; pitch against its own. -> float32 [n], 24 kHz"""
    return _engine().say(text, voice, stretch, pitch)
