# SPDX-License-Identifier: MIT
"""`parley serve` under test: started on a free port, stopped, started again on the same one."""

import base64
import os
import select
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request


MODELS = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../../models"))


class ServerError(Exception):
    """The server did not do what it promises."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Parley:
    """One server; `args` go to `parley serve`."""

    def __init__(self, binary, *args):
        self._command = [binary, "serve", *args]
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._process = None
        try:
            self.start()
        except BaseException:
            self.kill()
            raise

    def start(self, limit_s=60):
        """Returns once the server has printed its address."""
        self._process = subprocess.Popen(
            [*self._command, "--listen", f"127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**{k: v for k, v in os.environ.items() if not k.startswith("PARLEY_")},
                 "PARLEY_MODELS": MODELS, "XDG_CONFIG_HOME": "/nowhere"})
        if not select.select([self._process.stdout], [], [], limit_s)[0]:
            raise ServerError(f"no address on stdout within {limit_s} s")
        line = self._process.stdout.readline().decode().strip()
        if line != self.url:
            raise ServerError(f"printed {line!r} instead of {self.url}")

    def wait_ready(self, limit_s=60):
        """Waits until a talk could start."""
        start = time.monotonic()
        while self.get("readyz")[0] != 200:
            answer = self.get("readyz")[2]
            if time.monotonic() - start > limit_s or b"degraded" in answer:
                raise ServerError(f"not ready: {answer[:200]}")
            time.sleep(0.05)
        return self

    def get(self, path):
        """Status, headers and body, whatever the status is."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def take_lane(self):
        """A talk of somebody else: a socket that holds it until closed."""
        other = socket.create_connection(("127.0.0.1", self.port))
        key = base64.b64encode(os.urandom(16)).decode()
        other.sendall((f"GET /packet HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                       f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
        answer = other.recv(4096)
        if b" 101 " not in answer:
            raise ServerError(f"no upgrade for the other client: {answer[:120]!r}")
        return other

    def kill(self, how=signal.SIGKILL):
        if self._process and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(10)
        if self._process:
            self._process.stdout.close()
        self._process = None

    def hold(self, is_held):
        """A server that hangs, without closing anything."""
        self._process.send_signal(signal.SIGSTOP if is_held else signal.SIGCONT)
