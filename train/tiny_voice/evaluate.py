# SPDX-License-Identifier: MIT
"""What can it do? Conversations with the built `parley` program itself, counted.

Every conversation is one process of `parley talk`, streaming, with the temperatures that the model
is shipped with. Answers are kept one by one in answers-SET-WEIGHTS-QUESTIONS.jsonl beside the
report, so that an interrupted evaluation goes on where it was; report-SET.json and a Markdown table
come of them. The set "steer" may be looked at as often as one likes; "final" is opened once, at the
end.
"""

import argparse
import datetime
import hashlib
import json
import multiprocessing
import statistics
from collections import Counter
from pathlib import Path

import numpy as np

from . import audio, scenes
from .audio import FRAME
from .parley import Parley

# row: (what it is called, ability, splits by a part of their names, must in per cent)
ROWS = {
    "manners": ("greeting, thanks, goodbye", "manners", ("voice", "phrase"), 97),
    "sums": ("sums, new voices", "sum", ("voice", "phrase"), 95),
    "sums-other": ("sums, another synthesiser", "sum", ("other",), 80),
    "questions": ("questions about itself, new voices; half of them new phrasings", "faq",
                  ("voice", "phrase"), 93),
    "questions-other": ("questions about itself, another synthesiser", "faq", ("other",), None),
    "say": ("say after me, new voices", "say", ("voice", "phrase"), 85),
    "say-other": ("say after me, another synthesiser", "say", ("other",), None),
    "stop": ("\"stop\": silent within 0.5 s", "stop", ("voice",), 95),
    "interrupt": ("another question while it speaks", "interrupt", ("voice",), 85),
    "quiet": ("60 s of silence, noise, music: says nothing", "quiet", None, 99),
    "outside": ("out of its field: says so", "ood", None, 90),
    "silence": ("sums and questions in silence", "noisy-silence", None, None),
    "voices": ("the same among voices at 10 dB and in a room", "noisy-voices", None, None),
    "natural": ("sums, questions, words by four voices of kokoro, a large network", "natural", None,
                None),
    "human": ("sums of digits that a person spoke", "human", None, None),
}
DELAY_MUST_S = (0.6, 1.2)               # median, 95th percentile
NOISE_MAY_COST = 10                     # points


def interval(k, n):
    """Wilson's 95 % interval of k in n, in per cent."""
    z, p = 1.96, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return round(100 * max(0, middle - half)), round(100 * min(1, middle + half))


_parley = None


def _begin(binary, model, temperature, out):
    global _parley
    _parley = Parley(binary, model), temperature, out


def _ask(scene):
    """In a process of the pool: one conversation. -> its facts"""
    parley, temperature, out = _parley
    made = scenes.make(scene)
    words, sound = parley.talk(made.sound, temperature, scenes.SEED)
    facts = made.judge(words, sound)
    if facts["right"] and scene.ability in ("manners", "faq", "say"):       # to be read back
        first = next(f for f, _, _ in words if f >= audio.frame_of(made.fact["start"]))
        audio.write_wav(out / f"{scene.name.replace('/', '-')}.wav", sound[first * FRAME:])
    return dict(name=scene.name, ability=scene.ability + scene.variant, split=scene.split, **facts)


def converse(binary, model, todo, path, temperature, jobs):
    """Has every conversation that is not in `path` yet. -> all answers"""
    answers = {}
    if path.exists():
        answers = {a["name"]: a for a in map(json.loads, path.read_text().splitlines())}
    left = [scene for scene in todo if scene.name not in answers]
    begin = binary, model, temperature, path.with_suffix("")
    # spawned, not forked: each process needs an espeak-ng library of its own
    with (multiprocessing.get_context("spawn").Pool(jobs, _begin, begin) as pool,
          path.open("a") as log):
        for i, facts in enumerate(pool.imap_unordered(_ask, left)):
            print(json.dumps(facts), file=log, flush=True)
            answers[facts["name"]] = facts
            if (i + 1) % 50 == 0:
                print(f"{i + 1} of {len(left)} conversations", flush=True)
    return [answers[scene.name] for scene in todo if scene.name in answers]


def is_in(answer, ability, splits):
    return answer["ability"] == ability and (
        splits is None or any(part in answer["split"].split("_") for part in splits))


def rows(answers):
    """-> {row: n, right, per cent, interval, must}"""
    out = {}
    for name, (_, ability, splits, must) in ROWS.items():
        some = [a for a in answers if is_in(a, ability, splits)]
        if name == "stop":                              # where there was something to stop
            some = [a for a in some if a["was_speaking"]]
        if not some:
            continue
        right = sum(a["right"] for a in some)
        low, high = interval(right, len(some))
        out[name] = dict(n=len(some), right=right, per_cent=round(100 * right / len(some), 1),
                         low=low, high=high, must=must)
    return out


def delays(answers):
    """From the user's last sound to the first word of an answer."""
    values = [a["delay_s"] for a in answers if a.get("delay_s") is not None]
    if not values:
        return None
    return dict(n=len(values), median_s=round(statistics.median(values), 2),
                p95_s=round(float(np.percentile(values, 95)), 2))


def sum_mistakes(answers):
    """What the wrong answers to sums are."""
    sums = {scenes.phrases.sum_reply(s) for s in scenes.phrases.SUMS}
    out = Counter()
    for a in answers:
        if a["ability"] == "sum":
            kind = "right" if a["right"] else "none" if not a["said"] else (
                "true sum of misheard numbers" if a["said"] in sums else
                "wrong result or form" if " is " in a["said"] and a["said"].split()[1] in (
                    "plus", "minus", "times") else "another reply")
            out[kind] += 1
    return dict(out)


def confusions(answers):
    """What was heard for each digit that a person spoke -> {spoken: {heard: times}}"""
    table = {}
    for a in answers:
        if a["ability"] == "human":
            for spoken, heard in zip(a["spoken"], a["heard"]):
                table.setdefault(spoken, Counter())[heard or "nothing"] += 1
    return {k: dict(v) for k, v in table.items()}


def report(answers, parley, temperature):
    table = rows(answers)
    facts = dict(
        date=datetime.date.today().isoformat(), program=parley.version(),
        temperature="as shipped" if temperature is None else temperature, rows=table,
        delay=delays(answers), sum_mistakes=sum_mistakes(answers), digits=confusions(answers))
    heard = [s == h for a in answers if a["ability"] == "human"
             for s, h in zip(a["spoken"], a["heard"])]
    if heard:
        facts["digits_heard"] = dict(n=len(heard), right=sum(heard),
                                     per_cent=round(100 * sum(heard) / len(heard), 1))
    if "silence" in table and "voices" in table:
        facts["noise_costs_points"] = round(
            table["silence"]["per_cent"] - table["voices"]["per_cent"], 1)
    return facts


def markdown(facts):
    lines = ["| ability | must | reached | 95 % interval | n |", "| --- | --- | --- | --- | --- |"]
    for name, row in facts["rows"].items():
        must = "-" if row["must"] is None else f"≥ {row['must']} %"
        lines.append(f"| {ROWS[name][0]} | {must} | {row['per_cent']:.0f} % |"
                     f" {row['low']}-{row['high']} % | {row['n']} |")
    if "noise_costs_points" in facts:
        lines.append(f"| voices and room at 10 dB cost | ≤ {NOISE_MAY_COST} points |"
                     f" {facts['noise_costs_points']:.0f} points | | |")
    if facts["delay"]:
        median, p95 = DELAY_MUST_S
        lines.append(f"| answer after the end of the question, median, 95th percentile |"
                     f" ≤ {median} s, ≤ {p95} s | {facts['delay']['median_s']} s,"
                     f" {facts['delay']['p95_s']} s | | {facts['delay']['n']} |")
    if facts.get("speech"):
        speech = facts["speech"]
        lines.append(f"| its speech, read back: share of the synthesiser's own score | ≥ 90 % |"
                     f" {speech['share']:.0f} % ({speech['parley']:.0f} % of the phonemes against"
                     f" {speech['synthesiser']:.0f} %) | | {speech['n']} |")
    return "\n".join(lines)


def digits_markdown(facts):
    heard = sorted({h for row in facts["digits"].values() for h in row})
    lines = ["| spoken | " + " | ".join(heard) + " |", "| --- |" + " --- |" * len(heard)]
    for spoken, row in facts["digits"].items():
        lines.append(f"| {spoken} | " + " | ".join(str(row.get(h, "")) for h in heard) + " |")
    return "\n".join(lines)


def name_of(paths):
    """A short name of what some files hold."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def evaluate(binary, model, out, share, which="steer", temperature=None, jobs=1, only=None,
             recogniser=None):
    """Has `share` of the conversations of a set; temperature None: as shipped. -> the report"""
    out = Path(out)
    todo = [s for s in scenes.scenes(which, share)
            if scenes.is_possible(s) and (not only or s.ability in only)]
    if not todo:
        raise SystemExit("nobody is installed here who could ask; see train/README.md")
    name = which if temperature is None else f"{which}-{temperature:g}"
    weights = name_of(Path(model).glob("*.safetensors"))
    questions = name_of(Path(__file__).with_name(f"{part}.py")
                        for part in ("phrases", "rooms", "scenes", "speech", "voices"))
    path = out / f"answers-{name}-{weights}-{questions}.jsonl"  # other ones begin anew
    path.with_suffix("").mkdir(parents=True, exist_ok=True)     # what is to be read back
    answers = converse(binary, model, todo, path, temperature, jobs)
    parley = Parley(binary, model)
    facts = report(answers, parley, temperature)
    spoken = {a["want"]: path.with_suffix("") / f"{a['name'].replace('/', '-')}.wav"
              for a in answers if a["right"] and a["ability"] in ("manners", "faq", "say")}
    if recogniser and spoken:
        from . import recogniser as listener            # needs torch
        facts["speech"] = listener.score(recogniser, spoken)
    (out / f"report-{name}.json").write_text(json.dumps(facts, indent=1) + "\n")
    print(markdown(facts), flush=True)
    if facts["digits"]:
        print("\n" + digits_markdown(facts), flush=True)
    return facts


def main():
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(
        description="what the tiny voice can do, measured with parley",
        epilog="example: train/evaluate --parley build/parley --out evaluation --jobs 4")
    parser.add_argument("--parley", type=Path, default=root / "build" / "parley")
    parser.add_argument("--model", type=Path, default=root / "models" / "tiny-voice")
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="folder of the report")
    parser.add_argument("--set", choices=("steer", "final"), default="steer",
                        help="held-out set to ask from; final is opened once, at the end")
    parser.add_argument("--share", type=float, default=1.0, help="share of the questions to ask")
    parser.add_argument("--temperature", type=float, help="default: as shipped")
    abilities = [*scenes.ASKED, "noisy", "natural", *scenes.MAKE]
    parser.add_argument("--only", nargs="+", metavar="ABILITY", choices=abilities,
                        help="only these: " + " ".join(abilities))
    parser.add_argument("--jobs", type=int, default=1, help="conversations at a time")
    parser.add_argument("--recogniser", type=Path,
                        help="what train/tiny-voice recogniser made, for the row of its speech")
    args = parser.parse_args()
    if not args.parley.exists():
        parser.error(f"no program {args.parley}: `make` builds it, --parley tells where it is")
    evaluate(args.parley, args.model, args.out, args.share, args.set, args.temperature, args.jobs,
             args.only, args.recogniser)
