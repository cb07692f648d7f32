# SPDX-License-Identifier: MIT
"""Who asks: every free synthesiser at hand, each telling what it said when.

espeak-ng, SVOX Pico and the voices of neural.py are spoken through libraries, flite and festival as
programs. What a voice said when comes from itself or, where it does not tell, from alignment.py.
All phonemes are mapped to one short list, so that the codec's first codebook can be taught the same
sounds by everybody. A voice is stretched and resampled at random: that moves pitch and formants
together and makes many speakers of one.
"""

import functools
import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from . import accents, alignment, audio, espeak, gnuspeech, neural, rhvoice, throat
from .audio import RATE
from .espeak import Speech

ACCENTS = "en-us en-us en-gb-x-rp en-gb-scotland en-029 en-gb-x-gbclan en-us-nyc".split()
VARIANTS = (
    "m1 m2 m3 m4 m5 m7 m8 f1 f2 f3 f5 klatt klatt2 klatt4 klatt5 klatt6 Alex Alicia Andy Annie"
    " Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Mario Michael Mike Nguyen adam anika announcer"
    " antonio aunty belinda benjamin boris david ed edward edward2 grandma grandpa gustave iven"
    " iven2 iven3 john kaukovalta linda marcelo max michel miguel norbert pablo paul pedro quincy"
    " rob robert sandro shelby steph steph2 travis victor zac").split()
# Never trained on. "voice" is the set to steer by, "final" the one opened once, at the end.
HELD_ACCENT = "en-gb-x-gbcwmd"
HELD_VARIANTS = dict(voice="m6 f4 Marco klatt3".split(), final="Andrea caleb steph3 iven4".split())
# Other synthesisers: flite's slt is to steer by, festival's slt (statistical models, another
# program) is for the end. Both are one woman; no voice of hers is trained on.
HELD_SYNTHESISER = dict(other="flite slt", other_final="festival cmu_us_slt_arctic_hts")
TRAINED = {"espeak": 0.48, "neural hibari": 0.15, "neural joe": 0.06, "flite awb": 0.07,
           "flite rms": 0.07, "flite kal16": 0.02, "flite kal": 0.01, "festival ked_diphone": 0.04,
           "festival kal_diphone": 0.02, "pico en-US": 0.04, "pico en-GB": 0.04,
           "rhvoice Clb": 0.06, "rhvoice Bdl": 0.04, "rhvoice Alan": 0.04, "rhvoice Ksp": 0.05,
           "neural kristin": 0.08, "gnuspeech": 0.08}

STRANGERS = 0.7         # share of espeak's speakers whose variant is drawn by chance
OTHER_THROATS = 0.4     # share of all speakers whose formants are moved, see throat.py
ECHOED = 0.2            # share of all speakers who are heard twice, the second time off a wall
WILD = 0.3              # share of the drawn variants whose formants differ twice as much
LACKING = 0.1           # share of the drawn variants' formants, from the third on, that are faint
ACCENTED = 0.6          # share of those who can have an accent of accents.py and have one

PHONES = ("_ p b t d k g ch jh f v th dh s z sh zh hh m n ng l r w y ah er ae aa eh ih iy ao uh uw"
          " ay aw ey oy ow").split()
UNKNOWN = 255
_ESPEAK = dict(zip(
    "tS dZ T D S Z h N j @ 3 3: a A: A E I I2 i i: O O: 0 U u: u V aI aU eI OI oU e@ i@ U@ A@ o@ O@"
    " @L ? *".split(),
    "ch jh th dh sh zh hh ng y ah er er ae aa aa eh ih ih iy iy ao ao aa uh uw uw ah ay aw ey oy ow"
    " eh ih uh aa ao ao ah t t".split()))
_ARPA = dict(ax="ah", axr="er", pau="_", h="hh", dx="t", en="n", el="l", em="m", brth="_")


def espeak_phone(name):
    """espeak's phoneme, with its marks and variants -> index in PHONES"""
    name = re.sub(r"[#\-\[;!']", "", name)
    for n in (name, re.sub(r"\d", "", name), re.sub(r"[\d:]", "", name), name[:1]):
        n = _ESPEAK.get(n, n)
        if n in PHONES:
            return PHONES.index(n)
    return 0 if name.startswith("_") or not name else PHONES.index("ah")


def arpa_phone(name):
    name = _ARPA.get(name, name)
    return PHONES.index(name) if name in PHONES else PHONES.index("ah")


def _espeak(text, fresh, voice, rate, pitch, pitch_range, variant=None):
    said = espeak.say(text, voice, rate, pitch, pitch_range, fresh, variant)
    phones = [(espeak_phone(n), t) for n, t in said.phones]
    begins = [t for _, t in said.words] + [len(said.pcm) / RATE]
    words = [(w, b, e) for (w, b), e in zip(said.words, begins[1:])]
    return Speech(said.pcm, words, phones)


# --- flite ---------------------------------------------------------------------------------------

def _run_flite(text, voice, stretch, out):
    done = subprocess.run(["flite", "-voice", voice, "--setf", f"duration_stretch={stretch:.3f}",
                           "-psdur", "-t", text, "-o", out], check=True, capture_output=True,
                          text=True)
    return [(n, float(t)) for n, t in (p.split(":") for p in done.stdout.split())]


@functools.lru_cache(10000)
def _flite_count(word):
    """How many phonemes flite gives a word spoken alone."""
    return sum(n != "pau" for n, _ in _run_flite(word, "kal16", 1, "none"))


def _flite(text, voice, stretch):
    with tempfile.NamedTemporaryFile(suffix=".wav") as f:
        ends = _run_flite(text, voice, stretch, f.name)
        x, rate = soundfile.read(f.name, dtype="float32")
    begin, phones, spoken = 0.0, [], []
    for name, end in ends:
        phones.append((arpa_phone(name), begin))
        if name != "pau":
            spoken.append((begin, end))
        begin = end
    words, at = [], 0
    texts = re.sub(r"[.,?]", "", text).split()
    counts = [_flite_count(w) for w in texts]
    if sum(counts) == len(spoken):                  # else the words ran together: times not known
        for word, count in zip(texts, counts):
            words.append((word, spoken[at][0], spoken[at + count - 1][1]))
            at += count
    return Speech(audio.resample(x, rate), words, phones)


# --- festival ------------------------------------------------------------------------------------

_FESTIVAL_SAY = """
(define (parley_say voice text path stretch)
  (eval (list (intern (string-append "voice_" voice))))
  (Parameter.set 'Duration_Stretch stretch)
  (let ((u (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave u path 'riff)
    (mapcar (lambda (s) (format t "S %s %f\\n" (item.name s) (item.feat s "end")))
            (utt.relation.items u 'Segment))
    (mapcar (lambda (w) (format t "W %s %f %f\\n" (item.name w) (item.feat w "word_start")
                                (item.feat w "word_end")))
            (utt.relation.items u 'Word))
    (format t "done\\n") (fflush nil)))
"""


class _Festival:
    """One festival process for all utterances of this process."""

    def __init__(self):
        with tempfile.NamedTemporaryFile("w", suffix=".scm", delete=False) as f:
            f.write(_FESTIVAL_SAY)
        self.process = subprocess.Popen(["festival", "--pipe", f.name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)

    def say(self, text, voice, stretch):
        with tempfile.NamedTemporaryFile(suffix=".wav") as f:
            self.process.stdin.write(
                f'(parley_say "{voice}" "{text}" "{f.name}" {stretch:.3f})\n')
            self.process.stdin.flush()
            segments, words = [], []
            while (line := self.process.stdout.readline().split())[:1] != ["done"]:
                if not line:
                    raise RuntimeError(f"festival ended at: {text}")
                if line[0] == "S":
                    segments.append((line[1], float(line[2])))
                elif line[0] == "W":
                    words.append((line[1], float(line[2]), float(line[3])))
            x, rate = soundfile.read(f.name, dtype="float32")
        begins = [0.0] + [end for _, end in segments]
        return Speech(audio.resample(x, rate), words,
                      [(arpa_phone(n), b) for (n, _), b in zip(segments, begins)])


_festival = None


def _festival_say(text, voice, stretch):
    global _festival
    _festival = _festival or _Festival()
    return _festival.say(text, voice, stretch)


# --- SVOX Pico -----------------------------------------------------------------------------------

@functools.lru_cache(1)
def _pico_engine():
    from py_nanotts import NanoTTS      # the package of TRAINED's two voices, Apache licence
    return NanoTTS()


def _pico(text, voice, stretch):
    pcm = _pico_engine().speak(text, voice=voice, speed=1 / stretch, volume=0.5)
    return audio.resample(audio.to_float(np.frombuffer(pcm, "<i2")), 16000)


# --- anybody -------------------------------------------------------------------------------------

def has(synthesiser):
    """Is what speaks `synthesiser` installed, voice and all?"""
    program, _, voice = synthesiser.partition(" ")
    if program == "festival":
        return any(Path("/usr/share/festival/voices").glob(f"*/{voice}"))
    if program == "pico":
        return importlib.util.find_spec("py_nanotts") is not None
    if program == "neural":
        return neural.has(voice)
    if program == "rhvoice":
        return rhvoice.has(voice)
    if program == "gnuspeech":
        return gnuspeech.has()
    return program == "espeak" or shutil.which(program) is not None


@functools.lru_cache(1)
def trained():
    """-> names, shares of the synthesisers to train on that this machine has"""
    names = [n for n in TRAINED if has(n)]
    shares = np.array([TRAINED[n] for n in names])
    return names, shares / shares.sum()


VARIANT_HEAD = "language variant\nname drawn\n"


def draw_variant(rng, accent):
    """Somebody whom espeak-ng's list does not have: the text of a variant file.

    Height and width of the formants, pitch, melody, voice and breath are drawn each for itself.
    They are harder to understand than the listed ones: a reader that knows clean speech alone
    finds 42 % of their phonemes, in the median, and 56 % of the others'.
    """
    def near(middle, spread):                       # in per cent
        return round(100 * middle * float(np.exp(rng.normal(0, spread))))

    low = float(np.exp(rng.uniform(np.log(65), np.log(240))))
    size, wild = float(np.exp(rng.normal(0.05, 0.1))), 1 + (rng.random() < WILD)
    lines = [f"pitch {low:.0f} {low * rng.uniform(1.2, 1.7):.0f}",
             f"flutter {rng.integers(9)}", f"intonation {rng.integers(1, 5)}",
             f"voicing {min(near(1, 0.45), 220)}", f"consonants {near(1, 0.25)} {near(1, 0.25)}"]
    for i, (spread, loud) in enumerate(zip((0.1, 0.1, 0.08, 0.08, 0.1, 0.1, 0.12, 0.12, 0.12),
                                           (1, 1, 0.9, 0.8, 0.6, 0.5, 0.5, 0.5, 0.5))):
        loud *= 0.15 if i > 2 and rng.random() < LACKING else 1
        lines.append(f"formant {i} {near(size, wild * spread)} {near(loud, wild * 0.35)}"
                     f" {near(1, wild * 0.3)}")
    if rng.random() < 0.25:
        lines.append(f"klatt {rng.choice([1, 2, 4, 5, 6])}")        # 3 is held out
    if rng.random() < 0.3:
        lines.append(f"roughness {rng.integers(1, 5)}")
    if rng.random() < 0.25:
        lines.append("breath " + " ".join(str(rng.integers(60)) for _ in range(5)))
    if rng.random() < 0.2:
        lines.append(f"echo {rng.integers(10, 140)} {rng.integers(5, 70)}")
    if rng.random() < 0.4:
        lines.append("tone " + " ".join(f"{f} {rng.integers(20, 250)}"
                                        for f in (500, 1200, 2000, 4000)))
    if rng.random() < 0.4:
        lines.append("stressAmp " + " ".join(str(rng.integers(15, 30)) for _ in range(8)))
    if rng.random() < 0.2:
        lines.append("stressAdd " + " ".join(str(rng.integers(-50, 250)) for _ in range(8)))
    return VARIANT_HEAD + "\n".join(lines) + "\n" + accents.variant_lines(accent)


def draw_echo(rng):
    """-> seconds later, how loud; None: none is heard"""
    if rng.random() >= ECHOED:
        return None
    return float(rng.uniform(0.01, 0.14)), float(rng.uniform(0.1, 0.8))


def draw_accent(rng):
    return accents.draw(rng) if rng.random() < ACCENTED else {}


def draw(rng, split):
    """A random speaker of a split. -> dict for say()"""
    who = _draw(rng, split)
    if split == "train":
        who["throat"] = throat.draw(rng) if rng.random() < OTHER_THROATS else None
        who["echo"] = draw_echo(rng)
    return who


def _draw(rng, split):
    if split in neural.HELD_PEOPLE:
        return dict(program="neural kokoro", size=1.0, stretch=float(rng.uniform(0.9, 1.15)),
                    person=neural.alone(str(rng.choice(neural.HELD_PEOPLE[split]))), accent={})
    if split in ("other", "other_final"):
        program = HELD_SYNTHESISER[split]
        return dict(program=program, size=1.0, stretch=float(rng.uniform(0.9, 1.15)))
    program = "espeak"
    if split == "train":
        names, shares = trained()
        program = str(rng.choice(names, p=shares))
    if program == "neural hibari":
        return dict(program=program, size=1.0, stretch=float(rng.uniform(0.75, 1.3)),
                    person=neural.draw_person(rng), accent=draw_accent(rng))
    if program == "gnuspeech":
        return dict(program=program, size=1.0, stretch=float(rng.uniform(0.75, 1.3)),
                    tube=gnuspeech.draw_tube(rng), accent={})
    if program != "espeak":
        return dict(program=program, size=float(np.exp(rng.uniform(-0.2, 0.26))),
                    stretch=float(rng.uniform(0.75, 1.3)), variety=float(rng.uniform(0.3, 0.9)),
                    pitch=float(np.exp(rng.uniform(-0.25, 0.25))),
                    accent=draw_accent(rng) if program.startswith("neural") else {})
    accent, variants = str(rng.choice(ACCENTS)), VARIANTS
    if split != "train":
        variants = HELD_VARIANTS["final" if "final" in split else "voice"]
        accent = HELD_ACCENT if rng.random() < 0.25 else accent
    voice = accent + ("" if rng.random() < 0.05 else "+" + str(rng.choice(variants)))
    size = float(np.exp(rng.uniform(-0.1, 0.1))) if split == "train" else 1.0
    who = dict(program=program, voice=voice, size=size, fresh=split != "train",
               rate=int(rng.integers(115, 200)),
               pitch=int(rng.integers(20, 85)), range=int(rng.integers(15, 85)))
    if split == "train" and rng.random() < STRANGERS:
        who.update(voice=str(rng.choice([accent, "en"], p=(0.85, 0.15))),
                   variant=draw_variant(rng, draw_accent(rng)))
    return who


def draw_natural(whose, rng):
    """Somebody by kokoro, whom `whose` draws; `rng` draws head and throat, which come after the
    synthesiser: one sentence of its can so be said by several. -> dict for say()"""
    size, pace = float(np.exp(rng.uniform(-0.15, 0.15))), float(whose.uniform(0.75, 1.2))
    return dict(program="neural kokoro", size=size, stretch=pace / size,
                person=neural.draw_mixture(whose), accent=draw_accent(whose),
                throat=throat.draw(rng) if rng.random() < OTHER_THROATS else None,
                echo=draw_echo(rng))


def _untimed(text, who, stretch):
    """By a synthesiser that does not tell what it says when. -> float32 [n]"""
    program, _, voice = who["program"].partition(" ")
    if program == "rhvoice":
        return rhvoice.say(text, voice, stretch, who["pitch"])
    if program == "gnuspeech":
        return gnuspeech.say(text, who["tube"], stretch)
    if voice == "hibari":
        return neural.say_hibari(text, 1 / stretch, who["person"], who["accent"])
    if voice == "kokoro":
        return neural.say_kokoro(text, round(1 / stretch, 3), who["person"],
                                 tuple(who["accent"].items()))
    if voice == "kristin":
        return neural.say_kristin(text, 1 / stretch, who["accent"])
    if voice == "joe":
        return neural.say_joe(text, 1 / stretch, who["variety"], who["accent"])
    return _pico(text, voice, stretch)


def timed(text, pcm, voice="en-us", accent=None, fresh=False):
    """pcm float32 [n] says `text` about as espeak-ng's `voice` with `accent` (see accents.py);
    fresh: its times are always the same. -> Speech"""
    variant = VARIANT_HEAD + accents.variant_lines(accent) if accent else None
    return alignment.times_of(pcm, _espeak(text, fresh, voice, 160, 50, 50, variant))


def say(text, who):
    """-> Speech: words (word, begin, end), phones (index in PHONES, begin), in seconds"""
    program, _, voice = who["program"].partition(" ")
    size = who["size"]                  # above 1: a smaller head, a higher voice
    if program == "espeak":
        said = _espeak(text, who["fresh"], who["voice"], round(who["rate"] / size), who["pitch"],
                       who["range"], who.get("variant"))
    elif program == "flite":
        said = _flite(text, voice, who["stretch"] * size)
    elif program == "festival":
        said = _festival_say(text, voice, who["stretch"] * size)
    else:
        like = {"en-GB": "en-gb-x-rp", "Alan": "en-gb-scotland"}.get(voice, "en-us")
        said = timed(text, _untimed(text, who, who["stretch"] * size), like, who["accent"])
    if size != 1:
        pcm = audio.resample(said.pcm, round(RATE * size / 50) * 50)
        said = Speech(pcm, [(w, b / size, e / size) for w, b, e in said.words],
                      said.phones and [(p, t / size) for p, t in said.phones])
    if who.get("throat"):
        said = Speech(throat.through(said.pcm, who["throat"]), said.words, said.phones)
    if who.get("echo"):
        said = Speech(twice(said.pcm, *who["echo"]), said.words, said.phones)
    return said


def twice(pcm, late, loud):
    """pcm and, so many seconds later and so loud, itself again. -> float32 [n + late]"""
    behind = np.pad(pcm, (round(RATE * late), 0))
    behind *= loud
    behind[:len(pcm)] += pcm
    return behind


def say_apart(rng, text, who):
    """Every word alone, with short gaps: as a machine joins recordings of single words."""
    pcm, words, phones, at = [], [], [], 0
    for word in text.split():
        said = say(word, who)
        a, b = audio.speech_span(said.pcm)
        gap = int(RATE * rng.uniform(0.0, 0.2))
        words.append((word, at / RATE, (at + b - a) / RATE))
        phones += [(p, max(0.0, t - a / RATE) + at / RATE)
                   for p, t in said.phones or [(UNKNOWN, 0.0)]
                   if t < b / RATE] + [(0, (at + b - a) / RATE)]
        pcm += [said.pcm[a:b], np.zeros(gap, np.float32)]
        at += b - a + gap
    return Speech(np.concatenate(pcm), words, phones)
