# SPDX-License-Identifier: MIT
"""A sound card that belongs to a test: a private PulseAudio with a microphone that hears what the test
says and a loudspeaker whose sound the test records. Standard library only."""
import array
import contextlib
import ctypes.util
import fcntl
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import wave

MIC_HZ = 24000
CHUNK_S = 0.02
ASOUND = "pcm.!default { type pulse }\nctl.!default { type pulse }\n"


def missing():
    """Why there can be no such card on this machine, or None."""
    for program, package in (("pulseaudio", "pulseaudio"), ("pactl", "pulseaudio-utils"), ("parec", "pulseaudio-utils")):
        if not shutil.which(program):
            return f"{program} is not installed (Debian package {package})"
    if not glob.glob("/usr/lib/*/alsa-lib/libasound_module_pcm_pulse.so"):
        return "ALSA cannot reach PulseAudio (Debian package libasound2-plugins)"
    if not ctypes.util.find_library("portaudio"):
        return "PortAudio is not installed (Debian package libportaudio2)"
    return None


class Card:
    """`with Card(rate=48000) as card`: programs started with card.env find it as the default device.

    A thread feeds the microphone in real time, silence unless say() queued something.
    """

    def __init__(self, rate=48000):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="parley-sound-"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("PULSE", "PARLEY_", "DBUS", "ALSA"))}
        self.env.update(HOME=str(self.folder), XDG_RUNTIME_DIR=str(self.folder), XDG_CONFIG_HOME=str(self.folder),
                        PULSE_SERVER=f"unix:{self.folder}/socket", LC_ALL="C")
        (self.folder / ".asoundrc").write_text(ASOUND)
        self._queue, self._lock = bytearray(), threading.Lock()
        self._is_over = threading.Event()
        self._feeder = self._recorder = None
        self._log = open(self.folder / "pulseaudio.log", "wb")
        self._server = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--high-priority=no",
             f"--load=module-null-sink sink_name=loudspeaker rate={rate} channels=2",
             f"--load=module-pipe-source source_name=microphone file={self.folder}/mic rate={MIC_HZ} channels=1 format=s16le",
             f"--load=module-native-protocol-unix socket={self.folder}/socket auth-anonymous=1"],
            env=self.env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            self._wait_until_up()
        except AssertionError:
            self.close()
            raise
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _wait_until_up(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self._server.poll() is None:
            r = subprocess.run(["pactl", "list", "short", "sources"], env=self.env, capture_output=True)
            if b"microphone" in r.stdout and b"loudspeaker.monitor" in r.stdout:
                return
            time.sleep(0.1)
        log = (self.folder / "pulseaudio.log").read_text(errors="replace")
        raise AssertionError(f"PulseAudio does not start: {log[-300:]}")

    def _feed(self):
        # A short pipe, and what does not fit is lost as in the air: nothing waits in it for a listener.
        fd = os.open(self.folder / "mic", os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 4096)
        n_byte = int(MIC_HZ * CHUNK_S) * 2
        due = time.monotonic()
        while not self._is_over.is_set():
            with self._lock:
                chunk = bytes(self._queue[:n_byte])
                del self._queue[:n_byte]
            with contextlib.suppress(BlockingIOError, BrokenPipeError):
                os.write(fd, chunk.ljust(n_byte, b"\0"))
            due += CHUNK_S
            time.sleep(max(0, due - time.monotonic()))
        os.close(fd)

    def say(self, path, begin_s=0.0):
        """Queues a 24 kHz mono WAV file for the microphone; returns its seconds."""
        with wave.open(str(path)) as w:
            assert (w.getframerate(), w.getnchannels(), w.getsampwidth()) == (MIC_HZ, 1, 2), path
            w.setpos(int(begin_s * MIC_HZ))
            pcm = w.readframes(w.getnframes())
        with self._lock:
            self._queue += pcm
        return len(pcm) / 2 / MIC_HZ

    def record(self):
        """Begins to record what the loudspeaker plays; recorded() ends it."""
        self._recorder = subprocess.Popen(
            ["parec", "--device=loudspeaker.monitor", "--format=s16le", f"--rate={MIC_HZ}", "--channels=1",
             "--latency-msec=50"], env=self.env, stdout=open(self.folder / "heard.s16", "wb"), stderr=subprocess.DEVNULL)

    def recorded(self):
        """The samples since record(), as 16-bit numbers at 24 kHz."""
        self._end(self._recorder, signal.SIGTERM)
        samples = array.array("h")
        data = (self.folder / "heard.s16").read_bytes()
        samples.frombytes(data[: len(data) // 2 * 2])
        return samples

    def stop_server(self):
        """Pulls the plug."""
        self._end(self._server, signal.SIGKILL)

    @staticmethod
    def _end(process, how):
        if process and process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def close(self):
        self._is_over.set()
        if self._feeder:
            self._feeder.join()
        self._end(self._recorder, signal.SIGTERM)
        self._end(self._server, signal.SIGTERM)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def loud_seconds(samples, level=300):
    """How long a recording is louder than `level` of 32767, in steps of 20 ms."""
    n = MIC_HZ // 50
    blocks = (samples[i:i + n] for i in range(0, len(samples) - n + 1, n))
    return 0.02 * sum(max(map(abs, block)) > level for block in blocks)
