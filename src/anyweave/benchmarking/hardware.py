"""This machine: its name, its matrix rate, and how to measure time and memory on it."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

_SIDE = {"cpu": 1024}  # of the square matrices; small enough for a CPU, large enough to fill a GPU
_GPU_SIDE = 8192


def device_name(device: torch.device) -> str:
    """The GPU's own name, or the processor architecture and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def synchronize(device: torch.device) -> None:
    """Wait for queued work to finish."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def matmul_rate(device: torch.device, dtype: torch.dtype, *, repeats: int = 5) -> float:
    """FLOP/s of one large square matrix product: the best of `repeats` after a warm-up.

    All shares are relative to it: what this device reaches now, not what its maker promises.
    """
    side = _SIDE.get(device.type, _GPU_SIDE)
    left = torch.randn(side, side, device=device, dtype=dtype)
    right = torch.randn(side, side, device=device, dtype=dtype)
    seconds, flop = measured(device, lambda: torch.matmul(left, right), repeats=repeats)
    return flop / seconds


def measured(
    device: torch.device, work: Callable[[], object], *, repeats: int
) -> tuple[float, int]:
    """Seconds of the fastest of `repeats` after a warm-up, as for the matrix rate (other work on
    the machine can only slow a run down), and the matrix operations of `work` in FLOP, counted in
    the warm-up (including recomputed activations, but not 4-bit layers).
    """
    with FlopCounterMode(display=False) as counter:
        work()
    seconds = []
    for _ in range(repeats):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds), int(counter.get_total_flops())


def reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: of tensors on a GPU, or of this whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if platform.system() == "Darwin" else 1024 * kilobytes
