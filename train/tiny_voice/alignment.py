# SPDX-License-Identifier: MIT
"""When was what said? Of a synthesiser that does not tell, from one that does.

The same text is spoken by espeak-ng, which names its phonemes and words, and the two are laid over
each other by dynamic time warping of their mel spectra.
"""

import numpy as np

from . import audio
from .audio import RATE
from .espeak import Speech
from .mel import log_mel

HOP = 240                       # samples, 10 ms
DRIFT = 0.15                    # what a step that moves in one of the two sounds costs more
BAND = 0.25                     # share of the length by which the two may run apart


def _shape(x):
    """Mel spectrum [frames, bands], every band of mean 0 and deviation 1, and how loud it is."""
    y = log_mel(x, n_fft=1024, hop=HOP).T
    loud = y.mean(1, keepdims=True)
    y = (y - y.mean(0)) / (y.std(0) + 0.3)
    return np.concatenate([y, 3 * (loud - loud.mean()) / (loud.std() + 0.3)], 1)


def _cost(a, b):
    """Squared distance of every frame of a from every one of b, mean 1. -> [len(a), len(b)]"""
    d = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return d / d.mean()


def path(cost):
    """The cheapest way from corner to corner. -> for each row the mean column of the way"""
    n, m = cost.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for s in range(n + m - 1):                      # one diagonal after the other
        i = np.arange(max(0, s - m + 1), min(n, s + 1))
        j = s - i
        i, j = (v[np.abs(i / n - j / m) <= BAND] for v in (i, j))
        before = np.minimum(total[i, j], DRIFT + np.minimum(total[i, j + 1], total[i + 1, j]))
        total[i + 1, j + 1] = before + cost[i, j]
    sums, counts = np.zeros(n), np.zeros(n)
    i, j = n - 1, m - 1
    while True:
        sums[i] += j
        counts[i] += 1
        if i == 0 and j == 0:
            return sums / counts
        ways = (total[i, j], DRIFT + total[i, j + 1], DRIFT + total[i + 1, j])
        step = int(np.argmin(ways))
        i, j = i - (step != 2), j - (step != 1)


def times_of(pcm, told):
    """pcm float32 [n] says what `told`, a Speech, says. -> Speech of pcm with the times of `told`
    moved to where they are in it"""
    (a, b), (c, d) = audio.speech_span(told.pcm), audio.speech_span(pcm)
    way = path(_cost(_shape(told.pcm[a:b]), _shape(pcm[c:d])))
    at = np.arange(len(way)) * HOP / RATE + a / RATE

    def moved(second):
        return float(np.interp(second, at, way * HOP / RATE + c / RATE))

    return Speech(pcm, [(w, moved(t), moved(e)) for w, t, e in told.words],
                  [(p, moved(t)) for p, t in told.phones])
