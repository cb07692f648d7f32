# SPDX-License-Identifier: MIT
"""The built `parley` program, driven from outside. Needs no torch."""

import json
import subprocess
import tempfile
from pathlib import Path

import soundfile

from . import audio


class Parley:
    """One binary with one model; every call is a process of its own."""

    def __init__(self, binary, model, threads=1):
        self.binary, self.model, self.threads = str(binary), str(model), threads

    def run(self, *arguments):
        command = [self.binary, *arguments, "--model", self.model, "--threads", str(self.threads)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            why = f"exit {done.returncode}: {done.stderr.strip()}"
            raise RuntimeError(f"{' '.join(command)}: {why}")
        return done.stdout

    def version(self):
        done = subprocess.run([self.binary, "--version"], capture_output=True, text=True,
                              check=True)
        return done.stdout.strip()

    def talk(self, x, temperature=None, seed=None):
        """The microphone x float32 [n] -> words [(frame, token, text)], sound float32 [m].

        Output frame i is what parley says right after it has heard input frame i. temperature None:
        as the model's config says.
        """
        options = [] if temperature is None else ["--temperature", str(temperature)]
        options += [] if seed is None else ["--seed", str(seed)]
        with tempfile.TemporaryDirectory() as folder:
            heard, said, text = (str(Path(folder) / n) for n in ("in.wav", "out.wav", "text.jsonl"))
            audio.write_wav(heard, x)
            self.run("talk", "--in", heard, "--out", said, "--text", text, *options)
            sound, _ = soundfile.read(said, dtype="float32")
            lines = [json.loads(line) for line in Path(text).read_text().splitlines()]
        return [(line["frame"], line["token"], line["text"]) for line in lines], sound
