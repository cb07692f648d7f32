# SPDX-License-Identifier: MIT
"""The bytes of the text cases in tests/wire (tests/wire/cases.h reads the same)."""
import re

ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\", '"': b'"'}
WORD = re.compile(r'(?:(\d+)\*)?(?:"((?:\\.|[^"\\])*)"|([0-9a-f]+)|-)(?:\s+|$)')


def unescape(text):
    out = b""
    for part in re.findall(r"\\x[0-9a-f]{2}|\\.|[^\\]", text):
        if part.startswith("\\x"):
            out += bytes([int(part[2:], 16)])
        elif part.startswith("\\"):
            out += ESCAPES[part[1]]
        else:
            out += part.encode("latin-1")
    return out


def read_bytes(line):
    out, at = b"", 0
    while at < len(line):
        m = WORD.match(line, at)
        if not m:
            raise ValueError(f"not bytes: {line[at:at + 40]}")
        count, text, digits = m.groups()
        piece = unescape(text) if text is not None else bytes.fromhex(digits or "")
        out += piece * int(count or 1)
        at = m.end()
    return out


def read_cases(path):
    """The bytes of every `in` line of a file of cases."""
    with open(path, encoding="utf-8") as f:
        return [read_bytes(line[3:].strip()) for line in f if line.startswith("in ")]
