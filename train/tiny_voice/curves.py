# SPDX-License-Identifier: MIT
"""The logs of a run as one picture, curves.svg, beside the weights."""

import json
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 480, 200, 40
SHOWN = {                               # log: figures worth a curve
    "codec": ("mel", "phone", "right"), "hearing": ("phone1", "text", "heard_right", "words_right"),
    "decoder": ("mel", "match", "sketch", "slow"),
    "language_model": ("text", "semantic", "acoustic", "words_right"),
    "practise": ("semantic", "acoustic", "semantic_right"), "recogniser": ("loss",)}
COLOURS = ("#003cc8", "#00783c", "#b04000", "#7a0090")


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def panel(name, lines, top):
    """One training: its figures, each from 0 to its own largest, over the minutes."""
    minutes = max(line["minutes"] for line in lines) or 1
    steps = lines[-1]["step"]
    out = [f'<text x="{MARGIN}" y="{top + 14}" font-weight="bold">{name}: {steps} steps,'
           f' {minutes:.0f} min</text>']
    for i, (figure, colour) in enumerate(zip(SHOWN[name], COLOURS)):
        points = [(line["minutes"], line[figure]) for line in lines if figure in line]
        if not points:
            continue
        most = max(value for _, value in points) or 1
        drawn = " ".join(
            f"{MARGIN + x / minutes * (WIDTH - 2 * MARGIN):.1f},"
            f"{top + HEIGHT - 10 - y / most * (HEIGHT - 60):.1f}" for x, y in points)
        out.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}"/>')
        out.append(f'<text x="{MARGIN + i * 100}" y="{top + 32}" fill="{colour}">{figure}'
                   f' {points[-1][1]:.3g}</text>')
    return "\n".join(out)


def draw(run):
    """Writes run/curves.svg of all logs that are there."""
    run = Path(run)
    logs = [(name, read(run / f"{name}.log")) for name in SHOWN if (run / f"{name}.log").exists()]
    panels = [panel(name, lines, i * HEIGHT)
              for i, (name, lines) in enumerate((n, x) for n, x in logs if x)]
    height = HEIGHT * len(panels)
    if panels:
        (run / "curves.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
            ' font-family="sans-serif" font-size="12">\n' + "\n".join(panels) + "\n</svg>\n")
