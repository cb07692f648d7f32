#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the golden checkpoints, inputs and outputs: make_goldens.py [--only CASE]... OUTDIR"""

import argparse
import sys
from pathlib import Path

import lm_cases
import lm_formats
import mimi_cases
import talk_cases

CASES = {**mimi_cases.CASES, **lm_cases.CASES, **lm_formats.CASES, **talk_cases.CASES}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", metavar="CASE", help="one case, or a family")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("out", nargs="?", type=Path)
    args = parser.parse_args()
    if args.list:
        print("\n".join(CASES))
        return
    if args.out is None:
        parser.error("OUTDIR is missing")
    wanted = [
        name
        for name in CASES
        if not args.only or name in args.only or name.split("/")[0] in args.only
    ]
    if not wanted:
        sys.exit(f"no case of that name: {args.only}")
    for name in wanted:
        CASES[name](args.out)
        size = sum(f.stat().st_size for f in (args.out / name).iterdir())
        print(f"{name}  {size // 1024} kB", flush=True)


if __name__ == "__main__":
    main()
