# SPDX-License-Identifier: MIT
"""Muon: momentum whose directions are made equally strong, for the matrices inside a network.

Keller Jordan and others, 2024 (https://kellerjordan.github.io/posts/muon). An update is scaled so
that it can share AdamW's learning rate.
"""

import torch

QUINTIC = (3.4445, -4.7750, 2.0315)     # drives singular values to about 1 in five rounds
ROUNDS = 5
SIZE = 0.4                              # root mean square of an update; AdamW's is about 0.2


def orthogonal(g):
    """[..., a, b] -> about the nearest matrix with orthonormal rows or columns"""
    a, b, c = QUINTIC
    tall = g.shape[-2] > g.shape[-1]
    x = g.mT if tall else g
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For parameters of two dimensions that are no tables."""

    def __init__(self, params, lr, momentum=0.95, decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, decay=decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(mean, group["momentum"]))
                scale = SIZE * max(p.shape[-2:]) ** 0.5
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(update, alpha=-group["lr"] * scale)
