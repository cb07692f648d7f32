# SPDX-License-Identifier: MIT
"""A client of /api/chat: Ogg pages written and read by hand, Opus through the library that parley links."""
import array
import ctypes
import ctypes.util
import struct
import time

from client import Socket

RATE, FRAME, PACKET = 24000, 1920, 960  # samples a second, of a codec frame, of an Opus packet
HEAD = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 3840, 48000, 0, 0)
TAGS = b"OpusTags" + struct.pack("<I", 1) + b"x" + struct.pack("<I", 0)


def make_table():
    table = []
    for r in range(256):
        r <<= 24
        for _ in range(8):
            r = (r << 1 ^ 0x04c11db7 if r >> 31 else r << 1) & 0xffffffff
        table.append(r)
    return table


TABLE = make_table()


def crc(data):
    r = 0
    for byte in data:
        r = (r << 8 ^ TABLE[r >> 24 ^ byte]) & 0xffffffff
    return r


def read_pages(data):
    """(flags, granule, serial, seq, packets) of each page; every checksum must be right."""
    while data:
        assert data[:5] == b"OggS\0", data[:8]
        flags, granule, serial, seq, said, n = struct.unpack_from("<BqIIIB", data, 5)
        lacing = data[27:27 + n]
        end = 27 + n + sum(lacing)
        assert len(data) >= end, "half a page"
        assert crc(data[:22] + bytes(4) + data[26:end]) == said, "wrong checksum"
        packets, at, size = [], 27 + n, 0
        for lace in lacing:
            size += lace
            if lace < 255:
                packets.append(data[at:at + size])
                at, size = at + size, 0
        assert size == 0, "a packet goes on in another page"
        yield flags, granule, serial, seq, packets
        data = data[end:]


class Opus:
    """Encoder and decoder, mono, 24 kHz."""

    def __init__(self):
        lib = ctypes.CDLL(ctypes.util.find_library("opus") or "libopus.so.0")
        failed = ctypes.c_int()
        for f in (lib.opus_encoder_create, lib.opus_decoder_create):
            f.restype = ctypes.c_void_p
        self.lib = lib
        self.encoder = ctypes.c_void_p(lib.opus_encoder_create(RATE, 1, 2048, ctypes.byref(failed)))
        self.decoder = ctypes.c_void_p(lib.opus_decoder_create(RATE, 1, ctypes.byref(failed)))
        assert not failed.value

    def encode(self, samples):
        out = ctypes.create_string_buffer(4000)
        n = self.lib.opus_encode_float(self.encoder, (ctypes.c_float * PACKET)(*samples), PACKET, out, 4000)
        assert n > 0, n
        return out.raw[:n]

    def decode(self, packet):
        out = (ctypes.c_float * 5760)()
        n = self.lib.opus_decode_float(self.decoder, packet, len(packet), out, 5760, 0)
        assert n > 0, n
        return list(out[:n])


class Chat(Socket):
    """Sends sound frame by frame; listen() sorts what comes into sound, words, times."""

    def __init__(self, port, path="/api/chat", **headers):
        super().__init__(port, path, **headers)
        self.opus = Opus()
        self.seq = self.granule = 0
        self.kinds, self.pages, self.words, self.sound = [], [], [], []
        self.sound_at = []

    def page(self, body, flags=0):
        n = len(body)
        head = b"OggS" + struct.pack("<BBqIIIB", 0, flags, self.granule, 7, self.seq, 0, n // 255 + 1)
        head += bytes([255] * (n // 255) + [n % 255])
        self.seq += 1
        return head[:22] + struct.pack("<I", crc(head + body)) + head[26:] + body

    def begin(self):
        self.send(b"\1" + self.page(HEAD, 2) + self.page(TAGS))

    def speak(self, samples):
        """One codec frame."""
        for at in range(0, FRAME, PACKET):
            self.granule += PACKET * 48000 // RATE
            self.send(b"\1" + self.page(self.opus.encode(samples[at:at + PACKET])))

    def listen(self, seconds):
        """Reads for that long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                opcode, message = self.recv(left)
            except TimeoutError:
                return
            assert opcode == 2 and message, (opcode, message)
            self.kinds.append(message[0])
            if message[0] == 1:
                for page in read_pages(message[1:]):
                    self.pages.append(page)
                    if page[3] >= 2:
                        self.sound.extend(v for p in page[4] for v in self.opus.decode(p))
                        self.sound_at.append(time.monotonic())
            elif message[0] == 2:
                self.words.append(message[1:].decode())


def frames_of(pcm_bytes):
    samples = array.array("f", pcm_bytes)
    return [samples[i:i + FRAME] for i in range(0, len(samples) - FRAME + 1, FRAME)]
