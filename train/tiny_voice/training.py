# SPDX-License-Identifier: MIT
"""What all trainings share: time, learning rate, batches ahead, threads, log, checkpoints."""

import ctypes
import itertools
import json
import math
import multiprocessing
import os
import queue
import shutil
import sysconfig
import threading
import time
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn as nn

from .muon import Muon

SAVE_EVERY_S = 120
LEAST_STEPS = 4                 # however short the time: enough to pass through every phase
LOG_EVERY = 25                  # steps
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3      # parameters of mallopt()
SHARED = Path("/dev/shm")
IDLE = 3                        # a training that works uses at least 1 / IDLE of the time


def prepare(seed):
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    keep_memory()


def keep_memory():
    """What a step frees stays with the process: else the system takes its pages away and fills
    them with zeros again for the next step, a tenth of the time of a training on a CPU."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):                    # GNU's
        for parameter in (TRIM_THRESHOLD, MMAP_THRESHOLD):
            libc.mallopt(parameter, 2 ** 31 - 1)


def autocast(device):
    """bf16 where the machine has it; a CPU that emulates it is four times slower than in f32."""
    kind = torch.device(device).type
    cpu_has = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=kind != "cpu" or cpu_has)


def compiled(module, device):
    """The module as one program made for this machine, where a compiler is at hand: on a CPU half
    the time of a decoder is in operations that are too small for a library's call each."""
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if torch.device(device).type != "cpu" or not shutil.which("c++") or not header.exists():
        return module
    torch._inductor.config.cpp.dynamic_threads = True
    return torch.compile(module)


def write_atomically(path, write):
    """write(temporary path), then the name at once: an interrupted save leaves the last one."""
    path = Path(path)
    temporary = path.with_name(path.name + ".part")
    write(str(temporary))
    os.replace(temporary, path)


def write_array(path, array):
    """A .npy file that is whole or not there."""
    def write(part):
        with open(part, "wb") as f:
            np.save(f, array)

    write_atomically(path, write)


class Threads:
    """The number of CPU threads, tried now and then.

    On cores that others use too, threads that wait for each other can be slower than one alone.
    Every TRIAL steps two steps are timed with one thread and two with all; the faster number holds
    until the next trial.
    """

    TRIAL = 200

    def __init__(self, device):
        self.on = torch.device(device).type == "cpu"
        self.most = torch.get_num_threads()
        self.best, self.step, self.last = 1, 0, time.monotonic()
        self.took_s = {}

    def tick(self):
        """Once before each step."""
        now, phase = time.monotonic(), self.step % self.TRIAL
        if self.on:
            if phase in (2, 3, 5, 6):
                threads = 1 if phase < 4 else self.most
                self.took_s.setdefault(threads, []).append(now - self.last)
            if phase == 6:
                self.best = min(self.took_s, key=lambda n: min(self.took_s[n]))
                self.took_s = {}
            torch.set_num_threads(1 if phase < 3 else self.most if phase < 6 else self.best)
        self.last, self.step = now, self.step + 1


def feeder(make, seed, threads=1, depth=4):
    """A queue of batches made ahead by other threads: make(generator) is called again and again."""
    batches = queue.Queue(depth)

    def work(i):
        rng = np.random.default_rng([seed, i])
        while True:
            batches.put(make(rng))

    for i in range(threads):
        threading.Thread(target=work, args=(i,), daemon=True).start()
    return batches


class _Endless(torch.utils.data.IterableDataset):
    def __init__(self, make, seed, every_100):
        self.make, self.seed, self.every_100 = make, seed, every_100

    def __iter__(self):
        rng = np.random.default_rng([self.seed, torch.utils.data.get_worker_info().id])
        for i in itertools.count():
            if i % 100 == 99:
                self.every_100()
            yield [torch.from_numpy(np.ascontiguousarray(v)) for v in self.make(rng)]


def loader(make, seed, device, every_100=lambda: None):
    """Batches made ahead by other processes: make(generator) -> arrays, again and again."""
    workers, ahead = 1, 4
    if torch.device(device).type != "cpu":
        workers, ahead = max(1, min(12, os.cpu_count() - 2)), 2
    batch = sum(np.asarray(v).nbytes for v in make(np.random.default_rng(seed)))
    _need_shared_memory((workers * ahead + 2) * batch)          # two are in use
    # forked, also from a spawned process: what makes batches goes along as it is
    return iter(torch.utils.data.DataLoader(_Endless(make, seed, every_100), batch_size=None,
                                            num_workers=workers, prefetch_factor=ahead,
                                            multiprocessing_context="fork"))


def _need_shared_memory(n):
    """Batches pass from process to process there; where it is full, these end without a word."""
    if SHARED.exists() and shutil.disk_usage(SHARED).free < n:
        raise SystemExit(f"{SHARED} has less than the {n / 2 ** 20:.0f} MiB that batches made ahead"
                         " take; docker gives more with --shm-size=8g")


@dataclass
class Side:
    """Which of the trainings side by side this is."""
    index: int
    count: int
    all_done: Any                   # a barrier between their processes

    def apart(self, seed):
        """They begin alike; from here on each draws for itself. -> the seed of all it draws"""
        if self.index:
            seed += 10 ** 6 * self.index
            torch.manual_seed(seed)
        return seed

    def path(self, path):
        """Where it keeps what the others keep too: state.pt -> state.side-0.pt"""
        return path.with_suffix(f".side-{self.index}{path.suffix}") if self.count > 1 else path


ALONE = Side(0, 1, None)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)


def _on_its_cores(train, side, arguments, named):
    threading.Thread(target=_end_with_parent, daemon=True).start()      # however that one ends
    torch.set_num_threads(max(1, torch.get_num_threads() // side.count))
    train(*arguments, side=side, **named)


def side_by_side(count, train, *arguments, **named):
    """train(..., side=Side) `count` times at once, each on its share of the cores.

    Weights that learned from the same beginning, from other conversations each, are better in their
    mean than each alone; and two trainings with one thread each make more steps than one with two.
    """
    if count == 1:
        return train(*arguments, side=ALONE, **named)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(count)
    sides = [context.Process(target=_on_its_cores,
                             args=(train, Side(i, count, barrier), arguments, named))
             for i in range(count)]
    for side in sides:
        side.start()
    waiting = {side.sentinel: side for side in sides}
    try:
        while waiting:
            for sentinel in connection.wait(list(waiting)):
                if waiting.pop(sentinel).exitcode:
                    raise RuntimeError("one of the trainings side by side failed; see above")
    finally:
        for side in waiting.values():
            side.terminate()


def mean_state(states):
    """Of modules' states of the same form; what is no fraction, from the first."""
    return {name: torch.stack([s[name].float() for s in states]).mean(0).to(first.dtype)
            if first.is_floating_point() else first for name, first in states[0].items()}


class Run:
    """One training of a given number of minutes that can be interrupted and goes on where it was.

    State (weights and optimiser in f32, steps, minutes spent) is kept in `state_path` every two
    minutes; `export()` writes the files that others read. The learning rate warms up and falls with
    a cosine to nothing over the whole time, so the number of minutes belongs to the recipe. Of
    trainings side by side the first exports; in the end, the mean of all.
    """

    def __init__(self, modules, params, rate, minutes, warm_steps, betas, decay, device, state_path,
                 log_path, export, smoothing, matrices=(), side=ALONE):
        """`matrices`: those of `params` that Muon steps; AdamW steps the others."""
        self.modules, self.params = modules, list(params)      # modules: name -> nn.Module
        self.rate, self.minutes, self.warm_steps = rate, minutes, warm_steps
        of_muon = {id(p) for p in matrices}
        self.optimisers = [torch.optim.AdamW([p for p in self.params if id(p) not in of_muon],
                                             lr=rate, betas=betas, weight_decay=decay)]
        if of_muon:
            self.optimisers.append(Muon(list(matrices), rate, decay=decay))
        self.side, self.common_path = side, Path(state_path)
        self.state_path = side.path(self.common_path)
        log_path = side.path(Path(log_path)) if side.index else log_path
        self.export, self.smoothing = export, smoothing
        self.threads = Threads(device)
        self.step, self.spent_s, self.mean, self.extra = 0, 0.0, {}, {}
        self.resumed = self.state_path.exists()
        if self.resumed:
            self._restore(device)
        self.log = open(log_path, "a" if self.resumed else "w")
        self.saved = time.monotonic()
        self.clock = self.saved, time.process_time()

    def _restore(self, device):
        state = torch.load(self.state_path, map_location=device, weights_only=True)
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for optimiser, values in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(values)
        self.step, self.spent_s = state["step"], state["spent_s"]
        self.extra = state["extra"]
        print(f"going on at step {self.step}, minute {self.spent_s / 60:.1f}", flush=True)

    def _save(self):
        self._write(self.state_path)
        if self.side.index == 0:
            self.export()
        self.saved = time.monotonic()

    def _write(self, path):
        state = dict(modules={k: m.state_dict() for k, m in self.modules.items()},
                     optimisers=[o.state_dict() for o in self.optimisers], step=self.step,
                     spent_s=self.spent_s, extra=self.extra)
        write_atomically(path, lambda part: torch.save(state, part))

    def _join(self):
        """Waits for the others at its side; the first becomes the mean of all."""
        self.side.all_done.wait()
        if self.side.index:
            return
        every = [Side(i, self.side.count, None) for i in range(self.side.count)]
        learned = [torch.load(side.path(self.common_path), map_location="cpu", weights_only=True)
                   ["modules"] for side in every]
        for name, module in self.modules.items():
            module.load_state_dict(mean_state([one[name] for one in learned]))
        self._write(self.common_path)
        self.export()

    def done(self):
        """Share of the time that is spent, 0 to 1. While the process is stopped no time passes; but
        one that waits for a GPU, or for what a GPU is to read, may use little of its own."""
        now = time.monotonic(), time.process_time()
        wall, busy = (b - a for a, b in zip(self.clock, now))
        self.clock = now
        self.spent_s += min(wall, IDLE * busy) if self.threads.on else wall
        return min(1.0, self.spent_s / (60 * self.minutes))

    def steps(self):
        """Yields the share of time spent before each step; saves in between and at the end."""
        done = self.done()
        while done < 1 or self.step < LEAST_STEPS:
            warm = min(1, (self.step + 1) / self.warm_steps)
            rate = self.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = rate
            self.threads.tick()
            yield done
            if time.monotonic() - self.saved > SAVE_EVERY_S:
                self._save()
            done = self.done()
        self._save()
        if self.side.count > 1:
            self._join()
        self.log.close()

    def descend(self, loss, figures):
        """One step of the optimiser; figures: name -> float, their running means go to the log."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.params, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        keep = self.smoothing if self.mean else 0.0
        self.mean = {k: keep * self.mean.get(k, 0) + (1 - keep) * v for k, v in figures.items()}
        self.step += 1
        if self.step % LOG_EVERY == 0:
            line = dict(step=self.step, minutes=round(self.spent_s / 60, 2),
                        threads=self.threads.best, **{k: round(v, 4) for k, v in self.mean.items()})
            print(json.dumps(line), file=self.log, flush=True)
            print(line, flush=True)
