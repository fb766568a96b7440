"""The arithmetic of denoising training (Ho et al., 2020; Salimans and Ho, 2022), as pure functions.

``alphas_B`` is the cumulative signal power (alpha-bar) at each sample's timestep.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")


def _per_sample(values_B: Tensor, like: Tensor) -> Tensor:
    return values_B.view(-1, *[1] * (like.ndim - 1))


def _unknown(prediction_type: str) -> ValueError:
    known = ", ".join(PREDICTION_TYPES)
    return ValueError(f"the scheduler's prediction_type {prediction_type!r} is not one of {known}")


def add_noise(
    clean: Float[Tensor, " B *latent"],
    noise: Float[Tensor, " B *latent"],
    alphas_B: Float[Tensor, " B"],
) -> Float[Tensor, " B *latent"]:
    """``sqrt(alpha) x + sqrt(1 - alpha) noise``: the forward process, variance preserving."""
    alphas = _per_sample(alphas_B, clean)
    return alphas.sqrt() * clean + (1 - alphas).sqrt() * noise


def denoising_target(
    prediction_type: str,
    clean: Float[Tensor, " B *latent"],
    noise: Float[Tensor, " B *latent"],
    alphas_B: Float[Tensor, " B"],
) -> Float[Tensor, " B *latent"]:
    """What the UNet was trained to say. Raises `ValueError` for an unknown prediction type."""
    alphas = _per_sample(alphas_B, clean)
    if prediction_type == "epsilon":
        return noise
    if prediction_type == "v_prediction":
        return alphas.sqrt() * noise - (1 - alphas).sqrt() * clean
    if prediction_type == "sample":
        return clean
    raise _unknown(prediction_type)


def min_snr_weight(
    prediction_type: str, alphas_B: Float[Tensor, " B"], gamma: float
) -> Float[Tensor, " B"]:
    """Each sample's min-SNR-gamma weight (Hang et al., 2023, section 3.4), for the target that is
    predicted.

    With ``snr = alpha / (1 - alpha)``: ``min(snr, gamma)`` for the clean sample, divided by ``snr``
    for noise and by ``snr + 1`` for velocity.
    """
    if gamma <= 0:
        raise ValueError(f"snr_gamma must be positive, got {gamma}")
    snr = alphas_B / (1 - alphas_B).clamp(min=1e-12)
    if prediction_type == "epsilon":
        # The same as min(snr, gamma) / snr, but finite for a schedule that ends in pure noise (snr
        # = 0).
        return (gamma / snr).clamp(max=1.0)
    if prediction_type == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    if prediction_type == "sample":
        return snr.clamp(max=gamma)
    raise _unknown(prediction_type)
