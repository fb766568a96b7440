"""The linear output projector: what it starts from, what it learns, what it refuses."""

from __future__ import annotations

import pytest
import torch

from anyweave.projectors import resolve
from anyweave.projectors.linear import LinearOutputProjector


def _projector(**changes: int) -> LinearOutputProjector:
    torch.manual_seed(0)
    return LinearOutputProjector(6, 5, 3, **{"num_tokens": 2, "rank": 4, **changes})


def test_it_has_a_name_and_a_shape() -> None:
    assert resolve("output", "linear") is LinearOutputProjector
    assert _projector()(torch.randn(7, 2, 6)).shape == (7, 3, 5)


def test_it_starts_at_the_mean_and_spans_the_principal_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(15, 4, generator=generator)).Q
    embeddings = (torch.randn(200, 4, generator=generator) @ basis.T + 2).reshape(200, 3, 5)
    projector = _projector()
    projector.start_from(embeddings)
    mean = embeddings.flatten(1).mean(0)
    assert torch.allclose(projector.out_fc.bias, mean)
    # Everything the captions differ by can be said from there.
    kept = torch.linalg.lstsq(projector.out_fc.weight, (embeddings.flatten(1) - mean).T).solution
    said = projector.out_fc.weight @ kept
    assert torch.allclose(said.T, embeddings.flatten(1) - mean, atol=1e-4)


def test_a_rank_above_what_captions_span_is_left_empty() -> None:
    projector = _projector(rank=40)
    projector.start_from(torch.randn(5, 3, 5))
    assert torch.isfinite(projector.out_fc.weight).all()
    assert not projector.out_fc.weight[:, 5:].any()


def test_the_size_of_states_does_not_matter() -> None:
    projector, states = _projector().eval(), torch.randn(4, 2, 6)
    assert torch.allclose(projector(states), projector(100 * states), atol=1e-3)


def test_impossible_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 query, token and rank, got 3, 0, 4"):
        _projector(num_tokens=0)
