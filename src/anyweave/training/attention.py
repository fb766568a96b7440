"""Which attention kernel trains fastest where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def fast_attention(device: str | torch.device) -> AbstractContextManager[None]:
    """Plain attention on a CPU, the default elsewhere.

    Over the few dozen tokens of a picture's patches or the few hundred of a conversation, the
    backward of the fused CPU kernel takes longer than plain matrix products
    (`benchmarks/cpu_attention.py`).
    """
    return _plain() if torch.device(device).type == "cpu" else nullcontext()


@contextmanager
def _plain() -> Iterator[None]:
    """Matrix products and a softmax, in bfloat16 where the rest is: not in single precision."""
    backend = torch.backends.cuda  # where the switch of all devices stands
    before = backend.fp16_bf16_reduction_math_sdp_allowed()
    backend.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backend.allow_fp16_bf16_reduction_math_sdp(before)
