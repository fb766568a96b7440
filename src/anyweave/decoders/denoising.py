"""The arithmetic of denoising training (Ho et al., 2020; Salimans and Ho, 2022), as pure functions.

``alphas_B`` is the cumulative signal power (alpha-bar) at each sample's timestep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import DDPMScheduler
from jaxtyping import Float, Int
from torch import Tensor

Pair = tuple[Tensor | float, Tensor | float]
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
    """What the UNet was trained to predict. Raises `ValueError` for an unknown prediction type."""
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
    """Each sample's min-SNR-gamma weight (Hang et al., 2023, section 3.4) for the predicted target.

    With ``snr = alpha / (1 - alpha)``: ``min(snr, gamma)`` for the clean sample, divided by ``snr``
    for noise and by ``snr + 1`` for velocity.
    """
    if gamma <= 0:
        raise ValueError(f"snr_gamma must be positive, got {gamma}")
    snr = alphas_B / (1 - alphas_B).clamp(min=1e-12)
    if prediction_type == "epsilon":
        # Equals min(snr, gamma) / snr, but stays finite at pure noise (snr = 0).
        return (gamma / snr).clamp(max=1.0)
    if prediction_type == "v_prediction":
        return snr.clamp(max=gamma) / (snr + 1)
    if prediction_type == "sample":
        return snr.clamp(max=gamma)
    raise _unknown(prediction_type)


@dataclass(frozen=True)
class Noised:
    """What a denoiser learns from in one step: `noisy` latents, the `times` it is given, and the
    `target` to predict. `weights` are the min-SNR weights, None if none were requested.
    """

    noisy: Float[Tensor, " B *latent"]
    times: Float[Tensor, " B"] | Int[Tensor, " B"]
    target: Float[Tensor, " B *latent"]
    weights: Float[Tensor, " B"] | None


@dataclass(frozen=True)
class Diffusion:
    """Variance-preserving noise (Ho et al., 2020). Always DDPM's, whichever scheduler samples:
    Euler's own ``add_noise`` is a different process.
    """

    alphas_cumprod: Float[Tensor, " N"]
    prediction_type: str

    @property
    def num_timesteps(self) -> int:
        return len(self.alphas_cumprod)

    def shares(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of signal and noise in the latents at `times`."""
        alphas = self.alphas_cumprod.to(times.device)[times.long()]
        return alphas.sqrt(), (1 - alphas).sqrt()

    def parted(self, signal: Tensor, noise: Tensor) -> tuple[Pair, Pair]:
        """Weights of (latents, prediction) that give the clean part, then those for the noise."""
        if self.prediction_type == "epsilon":
            signal = signal.clamp(min=1e-3)  # pure noise says nothing about the clean part
            return (1 / signal, -noise / signal), (0.0, 1.0)
        if self.prediction_type == "v_prediction":
            return (signal, -noise), (noise, signal)
        if self.prediction_type == "sample":
            return (0.0, 1.0), (1 / noise, -signal / noise)
        raise _unknown(self.prediction_type)

    def noised(
        self,
        clean: Float[Tensor, " B *latent"],
        noise: Float[Tensor, " B *latent"],
        timesteps: Int[Tensor, " B"],
        snr_gamma: float | None,
    ) -> Noised:
        """Raises `ValueError` for an unknown prediction type or a non-positive gamma."""
        kind, alphas_B = self.prediction_type, self.alphas_cumprod.to(clean.device)[timesteps]
        return Noised(
            noisy=add_noise(clean, noise, alphas_B),
            times=timesteps,
            target=denoising_target(kind, clean, noise, alphas_B),
            weights=None if snr_gamma is None else min_snr_weight(kind, alphas_B, snr_gamma),
        )

    def clean(
        self, noisy: Float[Tensor, " B *latent"], prediction: Tensor, timestep: Tensor
    ) -> Float[Tensor, " B *latent"]:
        """The clean latents that a `prediction` for `noisy` implies: the inverse of
        `denoising_target`. `timestep` may be fractional.
        """
        place = min(max(round(float(timestep)), 0), self.num_timesteps - 1)
        alpha = self.alphas_cumprod[place].to(noisy.device)
        if self.prediction_type == "epsilon":
            return (noisy - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
        if self.prediction_type == "v_prediction":
            return alpha.sqrt() * noisy - (1 - alpha).sqrt() * prediction
        if self.prediction_type == "sample":
            return prediction
        raise _unknown(self.prediction_type)


@dataclass(frozen=True)
class Flow:
    """Straight paths from data to noise (Lipman et al., 2023; Esser et al., 2024). At noise level
    ``s`` the latents are ``(1 - s) clean + s noise``; the target is the velocity ``noise - clean``.
    """

    num_timesteps: int

    def shares(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """The shares of signal and noise in the latents at `times`."""
        levels = times / self.num_timesteps
        return 1 - levels, levels

    def parted(self, signal: Tensor, noise: Tensor) -> tuple[Pair, Pair]:
        """Weights of (latents, prediction) that give the clean part, then those for the noise."""
        return (1.0, -noise), (1.0, signal)

    def noised(
        self,
        clean: Float[Tensor, " B *latent"],
        noise: Float[Tensor, " B *latent"],
        timesteps: Int[Tensor, " B"],
        snr_gamma: float | None,
    ) -> Noised:
        """Timestep ``t`` of N is the noise level ``(t + 1) / N``; the denoiser is given N times
        that. Min-SNR applies to diffusion only: here all levels weigh the same.
        """
        levels_B = (timesteps + 1) / self.num_timesteps
        levels = _per_sample(levels_B, clean)
        return Noised(
            noisy=(1 - levels) * clean + levels * noise,
            times=levels_B * self.num_timesteps,
            target=noise - clean,
            weights=None,
        )

    def clean(
        self, noisy: Float[Tensor, " B *latent"], prediction: Tensor, timestep: Tensor
    ) -> Float[Tensor, " B *latent"]:
        """The clean latents at the end of the straight path that `prediction` points along."""
        return noisy - timestep / self.num_timesteps * prediction


def noising_of(scheduler: Any) -> Diffusion | Flow:
    """The noising process a decoder was trained with, according to its scheduler.

    Raises `ValueError` for a scheduler of neither family.
    """
    config = scheduler.config
    if type(scheduler).__name__.startswith("FlowMatch"):
        return Flow(int(config.num_train_timesteps))
    if "beta_schedule" not in config:
        raise ValueError(
            f"{type(scheduler).__name__} has no beta schedule and is no FlowMatch scheduler; a "
            "decoder needs one of the denoising diffusion family (DDIM, PNDM, DPM++, Euler, ...) "
            "or of flow matching"
        )
    return Diffusion(DDPMScheduler.from_config(config).alphas_cumprod, config.prediction_type)
