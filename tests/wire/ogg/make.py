#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/wire/ogg/streams.txt: Ogg pages, good and bad, with checksums as RFC 3533 says."""
import pathlib
import re
import struct

OUT = pathlib.Path(__file__).parent / "streams.txt"
HEAD = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 3840, 48000, 0, 0)
TAGS = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)
# What sphn 0.2.1 (the official Python client's writer) sends for two silent frames at 24 kHz.
SPHN = bytes.fromhex(
    "4f676753000200000000000000002a00000000000000aefef3f101134f707573486561640101000f80bb00000000004f"
    "676753000000000000000000002a000000010000004b3c0171011b4f707573546167730b0000004b79757461694d6f73"
    "6869000000004f676753000080070000000000002a000000020000000836c05001336a180be4c136ecc58d8c49484a31"
    "7641985df5fae35f9f5b800007c97227e144ea55f1f0c0d1b0c0c23f490ebeb11a07ec7ec04f6767530000000f000000"
    "0000002a0000000300000089a1c62a01336907c979c8c957c0a21223fa59ce1ad2285ff6b11a26a4a6a48007c979c8c9"
    "57c0a21223fa59ce1ad2285ff6b11a26a4a6a4804f676753000080160000000000002a00000004000000c048ed5a0133"
    "6907c979c8c957c0a21223fa59ce1ad2285ff6b11a26a4a6a48007c979c8c957c0a21223fa59ce1ad2285ff6b11a26a4"
    "a6a4804f6767530000001e0000000000002a0000000500000039288dbf01336907c979c8c957c0a21223fa59ce1ad228"
    "5ff6b11a26a4a6a48007c979c8c957c0a21223fa59ce1ad2285ff6b11a26a4a6a480"
)


def crc(data):
    r = 0
    for byte in data:
        r ^= byte << 24
        for _ in range(8):
            r = (r << 1 ^ 0x04c11db7 if r >> 31 else r << 1) & 0xffffffff
    return r


def page(seq, body, lacing=None, flags=0, serial=42, granule=0, good=True):
    """One page; lacing None: body is one whole packet."""
    if lacing is None:
        lacing = [255] * (len(body) // 255) + [len(body) % 255]
    head = b"OggS" + struct.pack("<BBqIIIB", 0, flags, granule, serial, seq, 0, len(lacing)) + bytes(lacing)
    sum_ = crc(head + body) ^ (0 if good else 1)
    return head[:22] + struct.pack("<I", sum_) + head[26:] + body


def start(serial=42):
    return page(0, HEAD, flags=2, serial=serial) + page(1, TAGS, serial=serial)


def say(text, data, fact):
    words = [f"{len(w)}*00" if len(w) > 32 and not any(w) else w.hex() for w in re.split(b"(\0{33,})", data)]
    lines.append(f"# {text}\nin {' '.join(w for w in words if w) or '-'}\n{fact}\n")


lines = ["# Written by make.py. Facts: packets LENGTH...\n"]
one, two, three = page(2, b"one"), page(3, b"two!"), page(4, b"three")

say("as the official Python client sends it", SPHN, "packets 51 51 51 51")
say("nothing", b"", "packets")
say("heads only", start(), "packets")
say("one packet a page", start() + one + two + three, "packets 3 4 5")
say("three packets on a page", start() + page(2, b"onetwo!three", [3, 4, 5]), "packets 3 4 5")
say("a packet of 255 bytes and one of none", start() + page(2, bytes(255), [255, 0, 0]), "packets 255 0")
say("a packet over two pages", start() + page(2, bytes(510), [255, 255]) + page(3, b"end", flags=1),
    "packets 513")
say("the end of the stream", start() + page(2, b"last", flags=4), "packets 4")
say("a page without segments", start() + page(2, b"", []) + page(3, b"two!"), "packets 4")
say("a page that is not whole yet", start() + one + two[:-1], "packets 3")
say("garbage in front, between and behind", b"garbage" + start() + b"Ogg" + one + b"OggOgg" + two + b"Og",
    "packets 3 4")
say("a wrong checksum loses the page alone", start() + page(2, b"one", good=False) + two, "packets 4")
say("a page is missing", start() + one + three, "packets 3 5")
say("the end of a packet without its beginning", start() + page(3, b"end", flags=1) + page(4, b"whole"),
    "packets 5")
say("no heads at all", one + two, "packets 3 4")
say("a second beginning", start() + one + start() + one, "packets 3 3")
say("another stream takes over", start() + one + start(7) + page(2, b"seven", serial=7), "packets 3 5")
say("another version of Ogg", start() + page(2, b"x")[:4] + b"\1" + page(2, b"x")[5:] + two, "packets 4")
say("a packet above 64 KiB is dropped", start() + b"".join(
    page(2 + i, bytes(255 * 255), [255] * 255, flags=1 if i else 0) for i in range(4)) +
    page(6, b"tail", flags=1) + page(7, b"whole"), "packets 5")
OUT.write_text("\n".join(lines))
