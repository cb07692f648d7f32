# SPDX-License-Identifier: MIT
"""What can it do? Conversations with the built `parley` program itself, counted.

One question a conversation: nobody speaks while the model greets, then a question, then time for
the answer. The questions are spoken anew by espeak-ng and flite, always the same; the held-out ones
with voices and phrasings that training never saw. Prints a Markdown table; writes evaluation.json
and, of each new voice's kind of question, two conversations as stereo WAV files (left the user,
right Parley).
"""

import argparse
import datetime
import json
import re
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import audio, mel, phrases, speech
from .audio import FRAME, FRAME_RATE, RATE, frame_of
from .parley import Parley

LEAD, AFTER = 36, 80            # frames before a question, in which it greets, and after it
ROOM = 18000                    # samples of a clip's own room, repeated before and after it
ANSWER = 70                     # frames of sound in which the reply is looked for
COUNTS = dict(sum=60, faq=60, say=40, count=30, ood=30)     # questions of a kind, times SHARES
SHARES = dict(train=0.2, voice=0.4, phrase=0.4, other=0.2)
SETTLE, APART = 30, 12          # frames of silence between replies when they are encoded, decoded
NOISES_DB = (None, -65, -55, -48)                           # of full scale
QUIET_S, QUIET_SEEDS = 16, 4
PAUSE = 15                      # slots of 20 ms: between two numbers it pauses 12 at most
SEED = 5

WHO = dict(train="voices and phrasings of the training", voice="new voices",
           phrase="new voices and new phrasings", other="another synthesiser (flite slt)")
WHAT = dict(sum="sums", faq="everyday questions", say="repeat a word", count="count to N",
            ood="anything else: \"I did not understand\"")


def sentence(words):
    return "".join(text for _, _, text in words).strip()


@dataclass
class Cell:
    """One row of the table."""
    n: int = 0
    text: int = 0               # the right reply, to the letter
    speech: int = 0             # the sound is nearest to the right reply
    greeted: int = 0
    delays: list = field(default_factory=list)              # frames

    def facts(self):
        return dict(n=self.n, text=self.text, speech=self.speech, greeted=self.greeted,
                    delay_ms=80 * statistics.median(self.delays) if self.delays else None)


class Ears:
    """Which of all the replies does a piece of sound resemble most, as this codec renders them?"""

    def __init__(self, parley):
        codes, silence = self._pieces(parley)
        self.texts = phrases.replies()
        parts, spans, at = [np.repeat(silence, APART, 1)], [], APART
        for text in self.texts:
            c = self._reply(codes, text)
            spans.append((at, c.shape[1]))
            parts += [c, np.repeat(silence, APART, 1)]
            at += c.shape[1] + APART
        x = parley.decode(np.concatenate(parts, 1))
        self.references = [mel.log_mel(x[f * FRAME:(f + n) * FRAME]) for f, n in spans]

    def _pieces(self, parley):
        """Every spoken piece, in one stream with silences. -> {text: codes}, silence [8, 1]"""
        texts = sorted(set(phrases.replies()) - {phrases.sum_reply(s) for s in phrases.SUMS})
        texts += phrases.all_sum_pieces()
        clips = [audio.to_float(speech.reply_clip(text)[0]) for text in texts]
        gap = np.zeros(SETTLE * FRAME, np.float32)
        parts = [part for clip in clips for part in (gap, clip)] + [gap]
        codes = parley.encode(np.concatenate(parts))
        out, at = {}, 0
        for text, clip in zip(texts, clips):
            at += SETTLE
            n = len(clip) // FRAME
            out[text] = codes[:, at:at + n]
            at += n
        return out, codes[:, -1:]

    @staticmethod
    def _reply(codes, text):
        if text in codes:
            return codes[text]
        s = next(s for s in phrases.SUMS if phrases.sum_reply(s) == text)
        return np.concatenate([codes[piece] for piece in phrases.sum_pieces(s)], 1)

    def nearest(self, x):
        """float32 [n] -> text of the nearest reply"""
        heard = mel.log_mel(x)
        best, best_text = np.inf, None
        for text, reference in zip(self.texts, self.references):
            for shift in (0, 4):                            # 20 ms columns
                d = self._distance(heard[:, shift:], reference) / min(
                    heard.shape[1], reference.shape[1])
                if d < best:
                    best, best_text = d, text
        return best_text

    @staticmethod
    def _distance(a, b):
        """Sum over the longer of the two, the shorter filled with silence."""
        n = max(a.shape[1], b.shape[1])
        a, b = (np.pad(v, ((0, 0), (0, n - v.shape[1])), constant_values=np.log(mel.FLOOR))
                for v in (a, b))
        return np.abs(a - b).sum()


# --- one question a conversation ----------------------------------------------------------------

def questions(share):
    """-> [(split, kind, seed)], `share` of each cell"""
    out = []
    for split in speech.SPLITS:
        for kind, count in COUNTS.items():
            n = max(1, round(share * SHARES[split] * count))
            if split == "train":
                pool = [q for q in speech.train_questions(1000) if q[1] == kind]
            else:
                pool = speech.held_questions(split, kind)
            out += [(split, kind, seed) for seed, _, _ in pool[:n]]
    return out


def conversation(pcm):
    """The question with its own room before and after it. -> float32 [n]"""
    clip = audio.to_float(pcm)
    x = np.resize(clip[:ROOM], LEAD * FRAME + len(clip) + AFTER * FRAME)
    x[LEAD * FRAME:LEAD * FRAME + len(clip)] = clip
    return x


def score(cell, fact, words, sound, ears):
    """Counts one conversation. -> what was said after the question began"""
    first = LEAD + frame_of(fact["start"])
    last = LEAD + frame_of(fact["end"])
    answer = [w for w in words if w[0] >= first]
    said = sentence(answer)
    cell.n += 1
    cell.text += said == fact["reply"]
    cell.greeted += sentence(w for w in words if w[0] < first) == phrases.GREETING
    if answer:
        begin = answer[0][0]
        cell.delays.append(begin - last)
        cell.speech += ears.nearest(sound[begin * FRAME:(begin + ANSWER) * FRAME]) == fact["reply"]
    return said


def is_true_sum(said):
    return said in {phrases.sum_reply(s) for s in phrases.SUMS}


def ask_all(parley, ears, temperature, share, wavs):
    """-> {(split, kind): Cell}, mistakes"""
    cells, mistakes = {}, []
    todo = questions(share)
    for i, (split, kind, seed) in enumerate(todo):
        pcm, _, fact = speech.user_clip(seed, kind, split)
        x = conversation(pcm)
        words, sound = parley.talk(x, temperature, SEED)
        cell = cells.setdefault((split, kind), Cell())
        said = score(cell, fact, words, sound, ears)
        if said != fact["reply"]:
            mistakes.append(dict(split=split, kind=kind, voice=fact["voice"], asked=fact["text"],
                                 said=said))
        if wavs and split == "voice" and cell.n <= 2:
            n = min(len(x), len(sound))
            audio.write_wav(wavs / f"{kind}-{cell.n}.wav", np.stack([x[:n], sound[:n]]))
        if (i + 1) % 50 == 0:
            print(f"{i + 1} of {len(todo)} conversations", flush=True)
    return cells, mistakes


# --- stop, silence ------------------------------------------------------------------------------

def stop_talk(rng, count_clip, stop_clip):
    """Somebody says stop 1.2 to 2.2 s after "count to N". -> sound, begin and end of stop (s)"""
    x = np.zeros(220 * FRAME, np.float32)
    pcm, _, fact = count_clip
    x[LEAD * FRAME:LEAD * FRAME + len(pcm)] = audio.to_float(pcm)
    begin = LEAD * FRAME + int((fact["end"] + rng.uniform(1.2, 2.2)) * RATE)
    pcm, _, fact = stop_clip
    spoken = audio.to_float(pcm)[int(fact["start"] * RATE):]
    x[begin:begin + len(spoken)] += spoken
    return x, begin / RATE, begin / RATE + fact["end"] - fact["start"]


def silent_from(sound, second):
    """The first moment after `second` from which PAUSE slots are silent, or None."""
    loud = np.abs(sound[:len(sound) // 480 * 480]).reshape(-1, 480).max(1) > 0.02
    for i in range(int(second * 50), len(loud) - PAUSE):
        if not loud[i:i + PAUSE].any():
            return i / 50
    return None


def seconds(pick, values):
    return round(float(pick(values)), 2) if values else None


def stop_all(parley, temperature, share):
    rng = np.random.default_rng(SEED)
    counts = [speech.user_clip(*q) for q in speech.held_questions("voice", "count")]
    counts = [c for c in counts if c[2]["reply"].count(",") >= 6]
    stops = speech.held_questions("voice", "stop")
    stops = stops[:max(1, round(share * len(stops)))]
    after_begin, after_end, counting, said = [], [], 0, 0
    for stop in stops:
        count = counts[rng.integers(len(counts))]
        x, begin, end = stop_talk(rng, count, speech.user_clip(*stop))
        words, sound = parley.talk(x, temperature, SEED)
        said += sentence(w for w in words if w[0] >= frame_of(begin)).endswith(phrases.STOPPED)
        if not any(frame_of(begin) - 12 <= w[0] < frame_of(begin) for w in words):
            continue
        counting += 1
        silent = silent_from(sound, begin)
        after_begin.append(np.inf if silent is None else silent - begin)
        after_end.append(np.inf if silent is None else silent - end)
    return dict(n=len(stops), was_counting=counting, said_stopped=said,
                silent_within_half_a_second=sum(v <= 0.5 for v in after_end),
                silent_after_begin_s=seconds(statistics.median, after_begin),
                silent_after_end_s=seconds(statistics.median, after_end),
                worst_after_end_s=seconds(max, after_end))


def quiet_all(parley, temperature, share):
    """Nobody speaks for 16 s. -> by level: n, right (at most the greeting), what else was said"""
    out = {}
    for level in NOISES_DB:
        seeds = 1 if level is None else max(1, round(share * QUIET_SEEDS))
        right, other = 0, []
        for seed in range(seeds):
            x = np.zeros(int(QUIET_S * FRAME_RATE) * FRAME, np.float32)
            if level is not None:
                rng = np.random.default_rng([SEED, seed])
                x = (rng.standard_normal(len(x)) * 10 ** (level / 20)).astype(np.float32)
            said = sentence(parley.talk(x, temperature, SEED)[0])
            is_right = said in ("", phrases.GREETING)
            right += is_right
            other += [] if is_right else [said]
        name = "digital silence" if level is None else f"white noise at {level} dBFS"
        out[name] = dict(n=seeds, right=right, otherwise=other)
    return out


# --- report -------------------------------------------------------------------------------------

def interval(k, n):
    """Wilson's 95 % interval of k in n, in per cent."""
    z, p = 1.96, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(100 * max(0, middle - half)), round(100 * min(1, middle + half))


def per_cent(k, n):
    return f"{100 * k / n:.0f} %"


def sum_mistakes(cells, mistakes):
    held = ("voice", "phrase", "other")
    wrong = [m for m in mistakes if m["kind"] == "sum" and m["split"] in held]
    n = sum(cells[k].n for k in cells if k[1] == "sum" and k[0] in held)
    true = sum(is_true_sum(m["said"]) for m in wrong)
    sums = sum(bool(re.match(r"\w+ (plus|minus|times) ", m["said"])) for m in wrong)
    return dict(n=n, right=n - len(wrong), true_sum_of_misheard_numbers=true,
                wrong_result_or_form=sums - true, another_reply_or_none=len(wrong) - sums)


def markdown(report):
    lines = ["| who asks | what | n | right text | 95 % interval | right sound | delay |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for row in report["rows"]:
        low, high = interval(row["text"], row["n"])
        delay = "-" if row["delay_ms"] is None else f"{row['delay_ms']:.0f} ms"
        lines.append(f"| {WHO[row['split']]} | {WHAT[row['kind']]} | {row['n']} |"
                     f" {per_cent(row['text'], row['n'])} | {low}-{high} % |"
                     f" {per_cent(row['speech'], row['n'])} | {delay} |")
    n, greeted = (sum(row[k] for row in report["rows"]) for k in ("n", "greeted"))
    sums, stop = report["sums_held_out"], report["stop"]
    lines += [
        "", f"- It greeted in {greeted} of {n} conversations in which nobody spoke first.",
        f"- Of {sums['n']} held-out sums {sums['right']} were right;"
        f" {sums['true_sum_of_misheard_numbers']} were true sums of misheard numbers,"
        f" {sums['wrong_result_or_form']} had a wrong result or form,"
        f" {sums['another_reply_or_none']} drew another reply or none.",
        f"- \"Stop\" (new voices) while it counts, {stop['n']} conversations: in"
        f" {stop['was_counting']} it was counting then, in {stop['silent_within_half_a_second']} of"
        f" these it was silent within 0.5 s after the user's last sound (median"
        f" {stop['silent_after_end_s']} s, worst {stop['worst_after_end_s']} s);"
        f" it said \"{phrases.STOPPED}\" in {stop['said_stopped']}."]
    for name, quiet in report["quiet"].items():
        other = "; ".join(f'"{said}"' for said in quiet["otherwise"])
        lines.append(f"- {QUIET_S} s of {name}: at most the greeting in {quiet['right']} of"
                     f" {quiet['n']}" + (f"; otherwise {other}." if other else "."))
    return "\n".join(lines)


def measure(parley, ears, temperature, share, wavs):
    began = time.monotonic()
    cells, mistakes = ask_all(parley, ears, temperature, share, wavs)
    return dict(
        date=datetime.date.today().isoformat(), program=parley.version(),
        temperature="as shipped" if temperature is None else temperature,
        rows=[dict(split=s, kind=k, **cells[s, k].facts())
              for s in WHO for k in WHAT if (s, k) in cells],
        sums_held_out=sum_mistakes(cells, mistakes), stop=stop_all(parley, temperature, share),
        quiet=quiet_all(parley, temperature, share), mistakes=mistakes,
        took_s=round(time.monotonic() - began))


def evaluate(binary, model, out, share, wavs=True, temperatures=(0, None)):
    """Asks `share` of the questions at each temperature (None: as shipped); writes to `out`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    parley = Parley(binary, model)
    ears = Ears(parley)
    reports = []
    for temperature in temperatures:
        report = measure(parley, ears, temperature, share, out if wavs and not reports else None)
        print(f"\ntemperature {report['temperature']}, {report['took_s']} s\n", flush=True)
        print(markdown(report), flush=True)
        reports.append(report)
        (out / "evaluation.json").write_text(json.dumps(reports, indent=1) + "\n")


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        description="what the tiny voice can do, measured with parley",
        epilog="example: train/evaluate --parley build/parley --out evaluation")
    parser.add_argument("--parley", type=Path, default=root / "build" / "parley")
    parser.add_argument("--model", type=Path, default=root / "models" / "tiny-voice")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder of the report")
    parser.add_argument("--share", type=float, default=1.0, help="share of the questions to ask")
    parser.add_argument("--temperature", choices=("0", "shipped", "both"), default="both")
    parser.add_argument("--no-wavs", action="store_true")
    args = parser.parse_args()
    temperatures = {"0": (0,), "shipped": (None,), "both": (0, None)}[args.temperature]
    evaluate(args.parley, args.model, args.out, args.share, not args.no_wavs, temperatures)
