"""Which attention kernel trains fastest where."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def fast_attention(device: str | torch.device) -> AbstractContextManager[None]:
    """Plain attention on a CPU, the default elsewhere.

    Over the few dozen tokens of a picture's patches or of a conversation, the backward of the fused
    CPU kernel takes longer than plain matrix products (`benchmarks/cpu_attention.py`).
    """
    on_cpu = torch.device(device).type == "cpu"
    return sdpa_kernel(SDPBackend.MATH) if on_cpu else nullcontext()
