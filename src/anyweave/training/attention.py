"""Which attention kernel trains fastest where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def fast_attention(device: str | torch.device) -> AbstractContextManager[None]:
    """Plain attention on a CPU, the default elsewhere.

    For a picture's few dozen patches or a conversation's few hundred tokens, the fused CPU kernel's
    backward is slower than plain matrix products (`benchmarks/cpu_attention.py`).
    """
    return _plain() if torch.device(device).type == "cpu" else nullcontext()


@contextmanager
def _plain() -> Iterator[None]:
    """Matrix products and a softmax, in bfloat16 where the inputs are, not upcast to float32."""
    backend = torch.backends.cuda  # holds this switch for all devices
    before = backend.fp16_bf16_reduction_math_sdp_allowed()
    backend.allow_fp16_bf16_reduction_math_sdp(True)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        backend.allow_fp16_bf16_reduction_math_sdp(before)
