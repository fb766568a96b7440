"""What several processes must agree on: a step's counts and its gradients.

Only about 1% of the weights train, so one flat all-reduce after the last micro-batch is cheap.
Unlike DDP's hooks, it tolerates a modality (hence a projector) missing from some process's batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from accelerate.utils import broadcast, gather_object
from torch import nn


def sum_over_processes(values: Mapping[str, float]) -> dict[str, float]:
    """Sums by name over all processes; a name may be missing on some of them."""
    gathered: list[dict[str, float]] = gather_object([dict(values)])
    names = dict.fromkeys(name for one in gathered for name in one)
    return {name: sum(one.get(name, 0.0) for one in gathered) for name in names}


def max_over_processes(value: int) -> int:
    """The largest value over all processes."""
    return max(gather_object([value]))


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum gradients over processes. Parameters unused everywhere keep None, so Adam skips them."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    trained = list(parameters)
    device = trained[0].device
    used = torch.tensor([parameter.grad is not None for parameter in trained], device=device).int()
    dist.all_reduce(used)
    shared = [p for p, count in zip(trained, used.tolist(), strict=True) if count]
    if not shared:
        return
    flat = torch.cat(
        [
            (p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1).float()
            for p in shared
        ]
    )
    dist.all_reduce(flat)
    for parameter, piece in zip(shared, flat.split([p.numel() for p in shared]), strict=True):
        parameter.grad = piece.view_as(parameter).to(parameter.dtype)


def same_start(parameters: Iterable[nn.Parameter]) -> None:
    """Give every process the first one's values."""
    broadcast([parameter.data for parameter in parameters])
