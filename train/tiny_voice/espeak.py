# SPDX-License-Identifier: MIT
"""espeak-ng through its C library: speech with the moment of every word and phoneme.

What the library says depends on what it has said before in the same process (its flutter and noise
go on where they were), so an utterance that must be the same samples every time, in whatever order
and by however many processes, is spoken by a fresh child.

A voice of the library may be varied by the text of a variant file, as people are drawn by chance.
The library reads such files in its data folder alone, so it works on a folder of links to its own.
"""

import contextlib
import ctypes
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .audio import resample

SYNCHRONOUS, PHONEME_EVENTS, UTF8 = 2, 1, 1
EVENT_END, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
PARAM_RATE, PARAM_PITCH, PARAM_RANGE = 1, 3, 4


class _Event(ctypes.Structure):
    class Id(ctypes.Union):
        _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p),
                    ("string", ctypes.c_char * 8)]

    _fields_ = [("type", ctypes.c_int), ("uid", ctypes.c_uint), ("text_position", ctypes.c_int),
                ("length", ctypes.c_int), ("audio_position_ms", ctypes.c_int),
                ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("id", Id)]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int,
                             ctypes.POINTER(_Event))


@dataclass
class Speech:
    """What the synthesiser said."""
    pcm: np.ndarray = None                              # float32 [n], 24 kHz
    words: list = field(default_factory=list)           # (word, second where it begins)
    phones: list = field(default_factory=list)          # (phoneme, second where it begins)


_lib = None                     # opened at first use: the rest of the package works without it
_rate = 0                       # samples a second of the library's own output
_variants = None                # the folder of variant files of this process's library
_text, _said, _chunks = "", None, []


@_CALLBACK
def _collect(wav, n, events):
    if n > 0:
        _chunks.append(np.ctypeslib.as_array(wav, (n,)).copy())
    i = 0
    while events and events[i].type != EVENT_END:
        event, second = events[i], events[i].audio_position_ms / 1000
        if event.type == EVENT_WORD:
            first = event.text_position - 1
            _said.words.append((_text[first:first + event.length], second))
        elif event.type == EVENT_PHONEME:
            _said.phones.append((event.id.string.decode("utf8", "replace"), second))
        i += 1
    return 0


def _folder_of_links(lib):
    """A data folder like the library's own, but with room for variants. -> folder of variants"""
    lib.espeak_Info.restype = ctypes.c_char_p
    theirs, now = ctypes.c_char_p(), ctypes.c_char_p()
    lib.espeak_Info(ctypes.byref(theirs))
    theirs = Path(os.fsdecode(theirs.value))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    ours = cache / "parley" / "training" / "espeak-ng-data"
    variants = ours / "voices" / "!v"
    variants.mkdir(parents=True, exist_ok=True)
    for folder in (Path(), Path("voices"), Path("voices/!v")):
        for path in (theirs / folder).iterdir():
            with contextlib.suppress(FileExistsError):      # from before, or by another process
                (ours / folder / path.name).symlink_to(path)
    lib.espeak_ng_InitializePath(os.fsencode(ours.parent))
    lib.espeak_Info(ctypes.byref(now))
    if Path(os.fsdecode(now.value)) != ours:
        raise RuntimeError(f"espeak-ng does not work on {ours}")
    return variants


def library():
    """The opened C library."""
    global _lib, _rate, _variants
    if _lib is None:
        lib = ctypes.CDLL("libespeak-ng.so.1")
        _rate = lib.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS)
        if _rate <= 0:
            raise RuntimeError("espeak-ng does not start; is espeak-ng-data installed?")
        lib.espeak_SetSynthCallback(_collect)
        _variants = _folder_of_links(lib)
        _lib = lib
    return _lib


def _choose(voice, variant):
    if not variant:
        return _lib.espeak_SetVoiceByName(voice.encode()) == 0
    path = _variants / f"drawn{os.getpid()}"
    path.write_text(variant)
    found = _lib.espeak_SetVoiceByName(f"{voice}+{path.name}".encode()) == 0
    path.unlink()
    return found


def _speak(text, voice, rate, pitch, pitch_range, variant):
    """In the child: -> int16 [n] at the library's rate, words, phones"""
    global _text, _said
    if not _choose(voice, variant):
        raise ValueError(f"espeak-ng has no voice {voice}")
    for parameter, value in ((PARAM_RATE, rate), (PARAM_PITCH, pitch), (PARAM_RANGE, pitch_range)):
        _lib.espeak_SetParameter(parameter, int(value), 0)
    _text, _said = text, Speech()
    _chunks.clear()
    data = text.encode("ascii")
    _lib.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
    _lib.espeak_Synchronize()
    pcm = np.concatenate(_chunks) if _chunks else np.zeros(0, np.int16)
    return pcm, _said.words, _said.phones


def _in_child(function, *args):
    """function(*args) in a forked process that ends at once; its exceptions are raised here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            try:
                answer = True, function(*args)
            except Exception as why:            # handed to the parent
                answer = False, why
            with os.fdopen(writer, "wb") as f:
                pickle.dump(answer, f)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as f:
        data = f.read()
    os.waitpid(child, 0)
    if not data:
        raise RuntimeError("espeak-ng died")
    is_ok, answer = pickle.loads(data)
    if not is_ok:
        raise answer
    return answer


def say(text, voice="en-us", rate=160, pitch=50, pitch_range=50, fresh=True, variant=None):
    """Speaks ASCII `text`; rate in words a minute, pitch and range 0 to 99; variant: text of a
    file that varies the voice. -> Speech

    Without `fresh` in this process: three times faster, and a little different each time.
    """
    library()
    arguments = text, voice, rate, pitch, pitch_range, variant
    pcm, words, phones = _in_child(_speak, *arguments) if fresh else _speak(*arguments)
    return Speech(resample((pcm / 32768).astype(np.float32), _rate), words, phones)
