"""The output projector that mixes states first: what its map alone cannot say, it learns."""

from __future__ import annotations

import pytest
import torch

from anyweave.projectors import resolve
from anyweave.projectors.linear import LinearOutputProjector
from anyweave.projectors.mixing import MixingOutputProjector


def _projector(**changes: int) -> MixingOutputProjector:
    torch.manual_seed(0)
    sizes = {"num_tokens": 2, "rank": 4, "hidden_dim": 16, "num_heads": 2, "ffn_dim": 32}
    return MixingOutputProjector(6, 5, 3, **{**sizes, **changes})


def _error(projector: torch.nn.Module, states: torch.Tensor, wanted: torch.Tensor) -> float:
    optimizer = torch.optim.AdamW(projector.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        loss = (projector(states) - wanted).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_it_has_a_name_and_a_shape_and_starts_at_the_mean() -> None:
    assert resolve("output", "mixing") is MixingOutputProjector
    projector = _projector().eval()
    assert projector(torch.randn(7, 2, 6)).shape == (7, 3, 5)
    embeddings = torch.randn(9, 3, 5)
    projector.start_from(embeddings)
    assert torch.allclose(projector.out_fc.bias, embeddings.flatten(1).mean(0))


def test_it_learns_what_depends_on_two_states_together() -> None:
    signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(2, 6, generator=generator)
    states = signs[..., None] * codes
    wanted = (signs[:, 0] * signs[:, 1]).view(4, 1, 1).expand(4, 3, 5)  # no sum says "same"
    linear = LinearOutputProjector(6, 5, 3, num_tokens=2, rank=4)
    assert _error(linear, states, wanted) > 0.9
    assert _error(_projector(), states, wanted) < 0.05


def test_a_frozen_one_keeps_its_type_in_a_run_in_half_precision() -> None:
    projector = _projector().eval().requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        assert projector(torch.randn(1, 2, 6)).dtype == torch.float32


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="hidden_dim 16 does not divide by num_heads 3"):
        _projector(num_heads=3)
