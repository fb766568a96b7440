"""The arithmetic of denoising training against values worked out by hand."""

from __future__ import annotations

import pytest
import torch

from anyweave.decoders.denoising import min_snr_weight


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        ("epsilon", [1.0, 1.0, 0.5]),  # min(snr, 5) / snr
        ("v_prediction", [1 / 2, 5 / 6, 5 / 11]),  # min(snr, 5) / (snr + 1)
        ("sample", [1.0, 5.0, 5.0]),  # min(snr, 5)
    ],
)
def test_min_snr_weights(prediction: str, expected: list[float]) -> None:
    snr = torch.tensor([1.0, 5.0, 10.0])
    found = min_snr_weight(prediction, snr / (snr + 1), gamma=5.0)
    torch.testing.assert_close(found, torch.tensor(expected))


def test_min_snr_at_zero_terminal_snr_is_finite() -> None:
    pure_noise = torch.tensor([0.0])
    assert min_snr_weight("epsilon", pure_noise, gamma=5.0).item() == 1.0
    assert min_snr_weight("v_prediction", pure_noise, gamma=5.0).item() == 0.0


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="positive"):
        min_snr_weight("epsilon", torch.ones(1), gamma=0.0)
    with pytest.raises(ValueError, match="prediction_type"):
        min_snr_weight("flow", torch.ones(1), gamma=5.0)
