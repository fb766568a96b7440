"""Losses against values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from anyweave.losses import alignment_loss, language_loss


def test_language_loss_is_mean_negative_log_probability() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, 0.0]])  # probabilities 1/4 3/4, 1/2 1/2
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert language_loss(logits, torch.tensor([1, 0])).item() == pytest.approx(expected, rel=1e-6)


def test_language_loss_without_supervised_positions_is_zero_with_a_gradient_path() -> None:
    logits = torch.zeros((0, 5), requires_grad=True)
    loss = language_loss(logits, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0.0 and logits.grad is not None


def test_language_loss_is_computed_in_float32() -> None:
    logits, labels = torch.randn(4, 50, dtype=torch.bfloat16), torch.tensor([1, 2, 3, 4])
    loss = language_loss(logits, labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, language_loss(logits.float(), labels))


def test_alignment_is_the_unsquared_distance_averaged_over_tokens() -> None:
    predicted = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[0.0, 1.0], [5.0, 12.0]]])
    target = torch.zeros(2, 2, 2)
    assert alignment_loss(predicted, target).item() == pytest.approx((5 + 0 + 1 + 13) / 4)
    assert alignment_loss(predicted, target, "mse").item() == pytest.approx((25 + 1 + 169) / 8)


@pytest.mark.parametrize("mode", ["euclidean", "mse"])
def test_alignment_of_captions_of_any_length_is_the_mean_of_theirs(mode: Any) -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, target = (torch.randn(2, 8, 4, generator=generator) for _ in range(2))
    target[0, 2:] = torch.nan  # a caption of two rows beside one of eight
    each = [alignment_loss(predicted[:1, :2], target[:1, :2], mode)]
    each.append(alignment_loss(predicted[1:], target[1:], mode))
    torch.testing.assert_close(alignment_loss(predicted, target, mode), torch.stack(each).mean())


def test_alignment_gradient_is_a_unit_vector_and_zero_at_the_target() -> None:
    predicted = torch.tensor([[[3.0, 4.0], [1.0, 1.0]]], requires_grad=True)
    target = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]])
    alignment_loss(predicted, target).backward()
    torch.testing.assert_close(predicted.grad, torch.tensor([[[0.3, 0.4], [0.0, 0.0]]]))


def test_alignment_of_nothing_is_zero() -> None:
    empty = torch.zeros((0, 4, 8), requires_grad=True)
    loss = alignment_loss(empty, torch.zeros(0, 4, 8))
    loss.backward()
    assert loss.item() == 0.0


@pytest.mark.usefixtures("unchecked_shapes")
def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        alignment_loss(torch.zeros(1, 4, 8), torch.zeros(1, 1, 8))
    with pytest.raises(ValueError, match="euclidean or mse"):
        alignment_loss(torch.zeros(1, 4, 8), torch.zeros(1, 4, 8), "l1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="3 rows of logits for 2 labels"):
        language_loss(torch.zeros(3, 4), torch.zeros(2, dtype=torch.long))
