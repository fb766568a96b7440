"""A single row through bfloat16 matrices on a CPU: PyTorch's matrix-vector kernel, not oneDNN's.

A step of one token reads every weight once, and reading speed sets its cost. For one row, oneDNN's
matrix product reads at about 13 GB/s and PyTorch's own kernel at 22
(`benchmarks/against_peers.py`); from two rows on, oneDNN is faster. The choice is a process-wide
switch, so it is held only while such a step runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

_lock = threading.Lock()
_inside = 0
_before = True


@contextmanager
def matrix_vector(rows: Tensor) -> Iterator[None]:
    """Within the block, matrix products use the single-row kernel, if `rows` ``[..., D]`` is a
    single bfloat16 row without gradients, on a CPU where that pays.
    """
    if not (_is_lone(rows) and _pays()):
        yield
        return
    _switch_off()
    try:
        yield
    finally:
        _switch_back()


def _is_lone(rows: Tensor) -> bool:
    return (
        rows.device.type == "cpu"
        and rows.dtype == torch.bfloat16
        and rows.numel() == rows.shape[-1]
        and not torch.is_grad_enabled()
    )


@cache
def _pays() -> bool:
    """Measured only on CPUs with native bfloat16 products; elsewhere nothing changes."""
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def _switch_off() -> None:
    global _inside, _before
    with _lock:  # overlapping threads must not mistake each other's switch for the user's
        if _inside == 0:
            _before = torch.backends.mkldnn.set_flags(_enabled=False, _fp32_precision=None)[0]
        _inside += 1


def _switch_back() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0:
            torch.backends.mkldnn.set_flags(_enabled=_before, _fp32_precision=None)
