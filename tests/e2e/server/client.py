# SPDX-License-Identifier: MIT
"""A server under test and raw clients for it, standard library only.

The client writes frames by hand, so that it can also write wrong ones.
"""
import base64
import hashlib
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
import wave

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """`parley serve` on free ports of the loopback; ready=False does not wait for the model."""

    def __init__(self, parley, *args, ports=None, ready=True, env=None, limit_files=None):
        self.ports = ports or [free_port()]
        listen = [a for p in self.ports for a in ("--listen", f"127.0.0.1:{p}")]
        self.port = self.ports[0]
        self.log = tempfile.TemporaryFile()
        own = {k: v for k, v in os.environ.items() if not k.startswith("PARLEY_")}
        self.process = subprocess.Popen([parley, "serve", *listen, *args], stdout=subprocess.PIPE, stderr=self.log,
                                        env={**own, "XDG_CONFIG_HOME": "/nowhere", **(env or {})})
        try:
            self.begin(ready, limit_files)
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.log.close()
            raise

    def begin(self, ready, limit_files):
        if limit_files:
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (limit_files, limit_files))
        said, _, _ = select.select([self.process.stdout], [], [], 60)
        self.first_line = self.process.stdout.readline().decode() if said else ""
        if not self.first_line:
            self.log.seek(0)
            raise AssertionError(f"no address: {self.log.read()[-300:]!r}")
        if ready:
            until(lambda: self.get("/readyz")[0] == 200, 60, "the model is ready")

    def get(self, path, port=None, method="GET", **headers):
        """(status, headers, body) of one request; Host as it should be unless given (None: left out)."""
        port = port or self.port
        fields = {"Host": f"127.0.0.1:{port}", "Connection": "close"}
        fields.update({k.replace("_", "-"): v for k, v in headers.items()})
        text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            s.sendall(text.encode() + b"\r\n")
            return read_response(s)

    def metric(self, name):
        body = self.get("/metrics")[2].decode()
        return float(re.search(rf"^{name} (\S+)$", body, re.M).group(1))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as f:
            times = f.read().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        code = self.process.wait(10)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        """Ends it as an operator would, so that a leak or a race that a sanitizer saw is a failure."""
        try:
            if failure is None and self.process.poll() is None:
                code = self.stop()
                self.log.seek(0)
                assert code == 0, f"exit {code}: {self.log.read()[-300:]!r}"
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()
            self.log.close()


def until(is_true, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if is_true():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")


def read_response(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            raise AssertionError(f"closed after {data!r}")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    status = int(lines[0].split()[1])
    while status != 101 and len(body) < int(headers.get("content-length", 0)):
        more = s.recv(65536)
        if not more:
            break
        body += more
    return status, headers, body


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body!r}")
        self.status, self.headers, self.body = status, headers, body


class Closed(Exception):
    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


class Socket:
    """A WebSocket client. recv() gives (opcode, payload); Closed carries the code, 1006 without a close frame."""

    def __init__(self, port, path, **headers):
        self.s = socket.create_connection(("127.0.0.1", port), 5)
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": f"127.0.0.1:{port}", "Upgrade": "websocket", "Connection": "Upgrade",
                  "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        fields.update({k.replace("_", "-"): v for k, v in headers.items()})
        text = f"GET {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
        self.s.sendall(text.encode() + b"\r\n")
        status, head, self.data = read_response(self.s)
        if status != 101:
            self.s.close()
            raise Refused(status, head, self.data)
        want = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert head["sec-websocket-accept"] == want, head

    def frame(self, opcode, payload=b"", final=True, mask=True, rsv=0):
        head = bytes([(0x80 if final else 0) | rsv | opcode])
        n, bit = len(payload), 0x80 if mask else 0
        head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack(">H", n) if n < 65536 \
            else bytes([bit | 127]) + struct.pack(">Q", n)
        if mask:
            key = os.urandom(4)
            payload = (int.from_bytes(payload, "big") ^
                       int.from_bytes((key * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
            head += key
        self.s.sendall(head + payload)

    def send(self, payload):
        self.frame(2, payload)

    def take(self, n, deadline):
        while len(self.data) < n:
            self.s.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                more = self.s.recv(1 << 20)
            except ConnectionError:
                more = b""
            if not more:
                raise Closed(1006)
            self.data += more
        out, self.data = self.data[:n], self.data[n:]
        return out

    def recv(self, timeout=3):
        deadline = time.monotonic() + timeout
        first, second = self.take(2, deadline)
        assert not second & 0x80, "a server must not mask"
        n = second & 0x7f
        if n >= 126:
            n = int.from_bytes(self.take(2 if n == 126 else 8, deadline), "big")
        payload = self.take(n, deadline)
        if first & 15 == 8:
            raise Closed(int.from_bytes(payload[:2], "big") if payload else 1005)
        return first & 15, payload

    def messages(self, quiet):
        """Every message until none came for `quiet` seconds."""
        while True:
            try:
                yield self.recv(quiet)
            except TimeoutError:
                return

    def closed_with(self, timeout=3):
        """Reads on until the server closes; its code."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.recv(deadline - time.monotonic())
        except Closed as closed:
            return closed.code

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def close(self):
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()


class Packets(Socket):
    """A voice packet client: numbered packets out, (type, seq, payload) in."""

    HEARTBEAT, ACK, AUDIO, PARTIAL, FINAL, META = 1, 2, 0x10, 0x20, 0x21, 0x30

    def __init__(self, port, path="/packet", **headers):
        super().__init__(port, path, **headers)
        self.seq = 0

    def packet(self, kind, payload=b"", ack=0):
        head = struct.pack("<BBIdHB", kind, 0, self.seq, time.time() * 1000 // 1, len(payload) % 65536, ack)
        self.seq += 1
        self.send(head + payload)

    def start(self, **config):
        self.packet(self.META, json.dumps({"type": "conversation_start", "config": {
            "sampleRate": 24000, "frameSamples": 1920, "format": "pcm_f32", **config}}).encode())

    def packets(self, quiet=1.5):
        for opcode, data in self.messages(quiet):
            assert opcode == 2, opcode
            kind, _, seq, _, n, _ = struct.unpack("<BBIdHB", data[:17])
            assert n == len(data) - 17, (n, len(data))
            yield kind, seq, data[17:]


def read_wav(path):
    """Samples of a 16-bit mono WAV as f32 bytes."""
    with wave.open(str(path)) as w:
        n = w.getnframes()
        return struct.pack(f"<{n}f", *(v / 32768 for v in struct.unpack(f"<{n}h", w.readframes(n))))
