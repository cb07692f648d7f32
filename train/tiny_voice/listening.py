# SPDX-License-Identifier: MIT
"""A page to listen to: twelve examples with their pictures, as the built program speaks them.

Questions are by voices that training never had. The WAV files are 16 bits at 11 kHz, all together
under a megabyte; the pictures are spectrograms of the same sound, the user's part in blue.
"""

import argparse
import html
import struct
import zlib
from pathlib import Path

import numpy as np

from . import audio, mel, phrases, speech, voices
from .audio import FRAME, RATE
from .parley import Parley

LOW = 11025                             # Hz, of the examples
MOST_BYTES = 1_000_000
MOST_S = 4.6                            # of a talk; what comes later is cut off
LEAD = 36                               # frames in which it greets
ESPEAK = dict(program="espeak", size=1.0, fresh=True, rate=150, pitch=50, range=50)

# name: (what it shows, who asks, [question, or (seconds after the last one, interruption)])
EXAMPLES = {
    "greeting": ("Nobody speaks.", None, []),
    "sum": ("A sum, asked by a voice it never heard.", "en-us+m6", ["what is three plus four"]),
    "hello": ("Hello, in another accent.", "en-gb-x-gbcwmd", ["hello there"]),
    "who": ("Who it is.", "en-us+f4", ["who are you"]),
    "mood": ("How it is.", "en-us+klatt3", ["how are you"]),
    "private": ("Where the voice goes.", "en-us+m6", ["is this private"]),
    "say": ("A word after me.", "en-us+f4", ["say elephant"]),
    "count": ("Counting.", "en-us+m6", ["count to three"]),
    "stop": ("Counting, and stopped.", "en-us+m6", ["count to ten", (1.6, "stop")]),
    "thanks": ("Manners.", "en-gb-x-gbcwmd", ["thank you very much"]),
    "outside": ("Out of its field.", "en-us+f4", ["my uncle paints old pictures"]),
    "stranger": ("A synthesiser it never heard.", "flite slt", ["what is five plus two"]),
}


def ask(parley, who, parts):
    """-> what the user and Parley said, float32 [n] from just before it matters; Parley's words"""
    heard = [np.zeros(LEAD * FRAME, np.float32)]
    manner = dict(ESPEAK, voice=who) if who and not who.startswith("flite") else dict(
        program=who, size=1.0, stretch=1.0)
    for part in parts:
        wait_s, text = part if isinstance(part, tuple) else (0, part)
        said = voices.say(text, manner)
        a, b = audio.speech_span(said.pcm)
        heard += [np.zeros(int(wait_s * RATE), np.float32), said.pcm[a:b] * (
            0.4 / np.abs(said.pcm).max())]
    heard = np.concatenate([*heard, np.zeros(6 * RATE, np.float32)])
    heard = heard[:len(heard) // FRAME * FRAME]
    words, sound = parley.talk(heard, None, 5)
    first = (LEAD - 2) * FRAME if parts else 5 * FRAME
    words = [w for w in words if w[0] >= first // FRAME]
    if not parts:
        words = [w for w in words if w[0] < LEAD]
    n = min(len(heard), len(sound))
    loud = np.flatnonzero(np.maximum(np.abs(heard[first:n]), np.abs(sound[first:n])) > 0.01)
    last = first + (int(loud[-1]) + RATE // 10 if len(loud) else RATE)
    last = min(last, first + int(MOST_S * RATE) if parts else LEAD * FRAME)
    return heard[first:last], sound[first:last], "".join(t for _, _, t in words).strip()


def png(path, pixels):
    """u8 [height, width, 3] as a PNG file."""
    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(
            b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def picture(user, parley):
    """Both spectrograms in one: the user blue, Parley green, silence white."""
    out = None
    for x, colour in ((user, (0, 60, 200)), (parley, (0, 120, 60))):
        ink = mel.log_mel(x, hop=480, n_mel=64)
        ink = np.clip((ink - np.log(mel.FLOOR)) / 6, 0, 1)[::-1, :, None]
        layer = ink * (255 - np.array(colour))
        out = layer if out is None else out + layer
    return (255 - np.clip(out, 0, 255)).astype(np.uint8)


def clean(text):
    """The synthesiser's own sound, for comparison."""
    return speech.by_parley(text).pcm


def entry(folder, name, what, user, parley, asked, said):
    mixed = audio.resample(user + parley, RATE, LOW)
    audio.write_wav(folder / f"{name}.wav", mixed, LOW)
    png(folder / f"{name}.png", picture(user, parley))
    question = f"<p class=\"user\">{html.escape(asked)}</p>\n" if asked else ""
    return (f"<section>\n<h2>{html.escape(what)}</h2>\n{question}"
            f"<p class=\"parley\">{html.escape(said or '(it says nothing)')}</p>\n"
            f"<audio controls preload=\"none\" src=\"{folder.name}/{name}.wav\"></audio>\n"
            f"<img src=\"{folder.name}/{name}.png\" alt=\"spectrogram\" height=\"128\">\n"
            "</section>\n")


STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; max-width: 46em; margin: 3em auto; padding: 0 1em;
  color: #222; background: #fff; }
section { margin: 2.5em 0; } h2 { font-size: 1em; margin: 0; }
.user { color: #003cc8; margin: 0; } .parley { color: #00783c; margin: 0; }
audio, img { display: block; margin-top: .5em; max-width: 100%; }
"""


def page(parley, out):
    """Writes out/tiny-voice.html and the folder out/tiny-voice. -> bytes of all sounds"""
    folder = Path(out) / "tiny-voice"
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for name, (what, who, questions) in EXAMPLES.items():
        user, sound, said = ask(parley, who, questions)
        asked = " / ".join(q if isinstance(q, str) else q[1] for q in questions)
        parts.append(entry(folder, name, what, user, sound, asked, said))
        print(f"{name}: {said}", flush=True)
    x = clean(phrases.GREETING)
    png(folder / "synthesiser.png", picture(np.zeros_like(x), x))
    total = sum(p.stat().st_size for p in folder.glob("*.wav"))
    if total > MOST_BYTES:
        raise SystemExit(f"{total} bytes of sound are more than {MOST_BYTES}")
    (Path(out) / "tiny-voice.html").write_text(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width\">\n"
        f"<title>tiny-voice, to listen to</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>tiny-voice, to listen to</h1>\n<p>Twelve talks with <code>models/tiny-voice</code>, as"
        " <code>parley talk</code> recorded them with the temperatures it is shipped with. Who asks"
        " is in <span class=\"user\">blue</span>, a synthesiser's voice that the model never heard;"
        " who answers in <span class=\"parley\">green</span>. Right and wrong answers alike. What"
        " they are worth in numbers: <a href=\"tiny-voice.md\">tiny-voice.md</a>.</p>\n"
        + "".join(parts) + "<section>\n<h2>The synthesiser's own greeting, which the codec was"
        " taught</h2>\n"
        "<img src=\"tiny-voice/synthesiser.png\" alt=\"spectrogram\" height=\"128\">\n"
        "</section>\n</body>\n</html>\n")
    return total


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description="makes docs/models/tiny-voice.html")
    parser.add_argument("--parley", type=Path, default=root / "build" / "parley")
    parser.add_argument("--model", type=Path, default=root / "models" / "tiny-voice")
    parser.add_argument("--out", type=Path, default=root / "docs" / "models")
    args = parser.parse_args()
    print(f"{page(Parley(args.parley, args.model), args.out)} bytes of sound", flush=True)
