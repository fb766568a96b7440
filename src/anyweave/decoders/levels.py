"""The noise a pipeline's denoiser was trained with, at any level, according to its scheduler."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from anyweave.decoders.denoising import Diffusion, Noised
from anyweave.decoders.stepping import one_step

NUM_LEVELS = 1000  # noise levels of continuous-time processes


def is_flow(scheduler: Any) -> bool:
    """Whether it follows straight paths from data to noise."""
    config = scheduler.config
    return bool(
        type(scheduler).__name__.startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
    )


@dataclass(frozen=True)
class Levels:
    """The noise a decoder was trained with, read from its scheduler, and what its denoiser should
    predict at each level.
    """

    scheduler: Any

    def __post_init__(self) -> None:
        """Raises `ValueError` for a scheduler of no known process."""
        name, config = type(self.scheduler).__name__, self.scheduler.config
        known = is_flow(self.scheduler) or name == "SCMScheduler"
        known = known or hasattr(self.scheduler, "precondition_outputs")
        if not known and "beta_schedule" not in config:
            raise ValueError(
                f"{name} is neither of flow matching nor of diffusion (with a beta schedule or in "
                "the form of EDM), so what its denoiser was trained to say is unknown"
            )

    @property
    def num_timesteps(self) -> int:
        """How many levels there are to draw from, from little noise to pure noise."""
        own = self.scheduler.config.get("num_train_timesteps", NUM_LEVELS)
        diffusion = "beta_schedule" in self.scheduler.config and not is_flow(self.scheduler)
        return int(own) if diffusion else NUM_LEVELS

    def at(
        self, level: int, clean: Tensor, noise: Tensor, snr_gamma: float | None
    ) -> tuple[Any, Noised]:
        """A `one_step` scheduler that probes at `level`, with the denoiser's input and target."""
        probe = one_step(self.scheduler)
        probe.probing = True
        name, config = type(self.scheduler).__name__, self.scheduler.config
        if is_flow(self.scheduler):
            return probe, self._flow(probe, level, clean, noise)
        if hasattr(self.scheduler, "precondition_outputs"):
            return probe, self._preconditioned(probe, level, clean, noise)
        if name == "SCMScheduler":
            return probe, self._trigonometric(probe, level, clean, noise)
        process = Diffusion(
            DDPMScheduler.from_config(config).alphas_cumprod, config.prediction_type
        )
        times = torch.full((len(clean),), level, device=clean.device)
        probe.schedule = times[:1]
        return probe, process.noised(clean, noise, times, snr_gamma)

    def _flow(self, probe: Any, level: int, clean: Tensor, noise: Tensor) -> Noised:
        config = self.scheduler.config
        shift = float(config.get("shift") or config.get("flow_shift") or 1.0)
        even = (level + 1) / NUM_LEVELS
        sigma = shift * even / (1 + (shift - 1) * even)
        steps = config.get("num_train_timesteps", NUM_LEVELS)
        probe.schedule = torch.tensor([sigma * steps], device=clean.device)
        return Noised((1 - sigma) * clean + sigma * noise, probe.schedule, noise - clean, None)

    def _preconditioned(self, probe: Any, level: int, clean: Tensor, noise: Tensor) -> Noised:
        """EDM (Karras et al., 2022): the target of the network itself, before its output is mixed
        with its input.
        """
        index = round((len(probe.timesteps) - 1) * (1 - level / (NUM_LEVELS - 1)))
        sigma = probe.sigmas[index].to(clean.device)
        probe.schedule = probe.timesteps[index : index + 1].to(clean.device)
        probe._step_index = index
        noisy, zero = clean + sigma * noise, torch.zeros_like(clean)
        kept = probe.precondition_outputs(noisy, zero, sigma)
        gain = probe.precondition_outputs(zero, torch.ones_like(clean), sigma)
        return Noised(noisy, probe.schedule, (clean - kept) / gain, None)

    def _trigonometric(self, probe: Any, level: int, clean: Tensor, noise: Tensor) -> Noised:
        """TrigFlow (Lu and Song, 2024): velocity on the quarter circle from data to noise."""
        angle = torch.tensor((level + 1) / NUM_LEVELS * math.pi / 2, device=clean.device)
        probe.schedule = torch.stack([angle, torch.zeros_like(angle)])
        noisy = angle.cos() * clean + angle.sin() * noise
        velocity = angle.cos() * noise - angle.sin() * clean
        return Noised(noisy, probe.schedule, velocity * self.scheduler.config.sigma_data, None)
