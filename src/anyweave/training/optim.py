"""Optimizer groups per role and the learning-rate schedule, a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from anyweave.training.config import OptimizerConfig


def build_optimizer(
    parameters: Mapping[str, Mapping[str, nn.Parameter]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """Adam (paper, weight decay in the gradient) or AdamW (decoupled), one or two groups per role.

    Vectors (biases, norms, temperatures) and the signal rows are not decayed. Every group holds
    `role`, `peak_lr` and `names`: the parameters' names prefixed with the role, as a checkpoint
    stores their state.
    """
    groups = []
    for role, named in parameters.items():
        for decayed in (True, False):
            chosen = {
                name: parameter
                for name, parameter in named.items()
                if (parameter.ndim > 1 and role != "signal_rows") is decayed
            }
            if chosen:
                rate = config.rate(role)
                groups.append(
                    {
                        "params": list(chosen.values()),
                        "names": [f"{role}.{name}" for name in chosen],
                        "role": role,
                        "lr": rate,
                        "peak_lr": rate,
                        "weight_decay": config.weight_decay if decayed else 0.0,
                    }
                )
    kind = torch.optim.AdamW if config.decoupled_weight_decay else torch.optim.Adam
    return kind(groups, lr=config.learning_rate, betas=config.betas, eps=config.eps)


def set_learning_rates(
    optimizer: torch.optim.Optimizer, step: int, total_steps: int, config: OptimizerConfig
) -> dict[str, float]:
    """Set every group's rate for `step` (0 is the first) and return the rates by role."""
    factor = schedule_factor(step, total_steps, config)
    rates: dict[str, float] = {}
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
        rates[group["role"]] = group["lr"]
    return rates


def schedule_factor(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Share of the peak rate at `step`: linear warm-up, then linear or cosine decay to zero, or
    constant.
    """
    warmup = math.ceil(config.warmup_ratio * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, total_steps - warmup)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return max(0.0, 1.0 - done)
