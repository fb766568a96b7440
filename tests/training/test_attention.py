"""The kernel that training uses on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from anyweave.training.attention import fast_attention


def test_it_computes_attention_and_leaves_the_switches_as_they_were() -> None:
    switch = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed
    before = switch()
    q, k, v = torch.randn(3, 2, 4, 7, 8, generator=torch.Generator().manual_seed(0))
    expected = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, -1) @ v
    with pytest.raises(RuntimeError, match="on purpose"), fast_attention("cpu"):
        assert switch()
        assert torch.allclose(scaled_dot_product_attention(q, k, v), expected, atol=1e-5)
        half = scaled_dot_product_attention(q.bfloat16(), k.bfloat16(), v.bfloat16())
        assert torch.allclose(half.float(), expected, atol=0.05)
        raise RuntimeError("on purpose")
    assert switch() == before


def test_other_devices_keep_their_own() -> None:
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    with fast_attention("cuda"):
        assert torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed() == before
