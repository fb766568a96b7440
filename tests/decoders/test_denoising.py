"""The arithmetic of denoising training against values worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from anyweave.decoders.denoising import PREDICTION_TYPES, min_snr_weight, noising_of


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


@pytest.mark.parametrize(
    "scheduler",
    [
        FlowMatchEulerDiscreteScheduler(),
        *(DDIMScheduler(prediction_type=kind) for kind in PREDICTION_TYPES),
    ],
)
def test_the_clean_latents_are_found_again(scheduler: Any) -> None:
    process = noising_of(scheduler)
    clean, noise = torch.randn(2, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    for step in (0, 300, process.num_timesteps - 1):
        made = process.noised(clean, noise, torch.tensor([step]), None)
        found = process.clean(made.noisy, made.target, made.times[0])
        torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-3)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="positive"):
        min_snr_weight("epsilon", torch.ones(1), gamma=0.0)
    with pytest.raises(ValueError, match="prediction_type"):
        min_snr_weight("flow", torch.ones(1), gamma=5.0)
