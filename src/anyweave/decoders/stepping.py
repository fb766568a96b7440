"""A diffusers pipeline, one step at a time: its own undecorated call, with a scheduler that ends
the loop after one step.

So our generators can pause after every step in the caller's thread, nothing of a pipeline's loop is
written a second time, and the denoiser's prediction can be had at any noise level with gradients to
the embeddings.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from anyweave.decoders.denoising import Diffusion, Noised

NUM_LEVELS = 1000  # noise levels of processes whose time has no steps of its own


class StopHereError(Exception):
    """Ends a pipeline's loop."""


def one_step(scheduler: Any, **settings: Any) -> Any:
    """A fresh scheduler of the same class that a pipeline takes for an ordinary one.

    Of the schedule the pipeline sees the step at `index` alone; `step` takes it, keeps `latents`
    and raises `StopHereError`, except for the last step, after which the pipeline goes on to
    decode. `planning` stops as soon as the schedule is known; `probing` stops before the step and
    keeps `output`, what the denoiser said.
    """
    base: Any = type(scheduler)
    # The schedule of a trigonometric flow (Sana-Sprint) counts its end too.
    tail = int(base.__name__ == "SCMScheduler")

    class OneStep(base):
        timesteps: Tensor
        planning = False
        probing = False
        index = 0
        schedule: Tensor
        latents: Tensor
        output: Tensor
        before_decoding: Callable[[], None] | None = None

        @property
        def init_noise_sigma(self) -> Any:
            if self.probing or self.index:
                return 1.0
            own = getattr(base, "init_noise_sigma", None)
            own = own.fget if isinstance(own, property) else None
            return self._own_sigma if own is None else own(self)

        @init_noise_sigma.setter
        def init_noise_sigma(self, value: Any) -> None:
            self._own_sigma = value

        @property
        def total(self) -> int:
            return len(self.schedule) - tail

        @functools.wraps(base.set_timesteps)  # pipelines look which arguments it takes
        def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
            if self.planning:
                base.set_timesteps(self, *args, **kwargs)
                self.schedule = self.timesteps
                raise StopHereError
            self.timesteps = self.schedule[self.index : self.index + 1 + tail]

        def set_begin_index(self, begin_index: int = 0) -> None:
            base.set_begin_index(self, max(begin_index, self.index))

        @functools.wraps(getattr(base, "scale_model_input", base.step))
        def scale_model_input(self, sample: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            if self.probing and not hasattr(base, "precondition_outputs"):
                return sample  # it has the scale that the denoiser was trained at
            scaled: Tensor = base.scale_model_input(self, sample, *args, **kwargs)
            return scaled

        @functools.wraps(base.step)  # pipelines look whether it takes a generator
        def step(self, model_output: Tensor, *args: Any, **kwargs: Any) -> Any:
            self.timesteps = self.schedule
            if self.probing:
                self.output = model_output
                raise StopHereError
            made = base.step(self, model_output, *args, **kwargs)
            self.index += 1
            if self.index < self.total:
                self.latents = made[0] if isinstance(made, tuple) else made.prev_sample
                raise StopHereError
            if self.before_decoding is not None:
                self.before_decoding()
            return made

    return OneStep.from_config(scheduler.config, **settings)


def call(pipeline: Any, **arguments: Any) -> Any:
    """The pipeline's own call with whatever gradients the caller has; None where it was stopped."""
    try:
        return inspect.unwrap(type(pipeline).__call__)(pipeline, return_dict=False, **arguments)[0]
    except StopHereError:
        return None


def is_flow(scheduler: Any) -> bool:
    """Whether it leads along straight paths from data to noise."""
    config = scheduler.config
    return bool(
        type(scheduler).__name__.startswith("FlowMatch")
        or config.get("prediction_type") == "flow_prediction"
    )


@dataclass(frozen=True)
class Levels:
    """The noise that a decoder was trained with, read from its scheduler, and what its denoiser
    says at each level.
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
        """How many levels there are to draw from, from little noise to nothing else."""
        own = self.scheduler.config.get("num_train_timesteps", NUM_LEVELS)
        diffusion = "beta_schedule" in self.scheduler.config and not is_flow(self.scheduler)
        return int(own) if diffusion else NUM_LEVELS

    def at(
        self, level: int, clean: Tensor, noise: Tensor, snr_gamma: float | None
    ) -> tuple[Any, Noised]:
        """A `one_step` scheduler that probes at `level`, and what goes in and should come out."""
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
        """EDM (Karras et al., 2022): what the network itself says, before its output is mixed with
        its input.
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


def entering(scheduler: Any, latents: Tensor) -> Tensor:
    """Latents between two steps as the pipeline wants to be given them."""
    if type(scheduler).__mro__[1].__name__ == "SCMScheduler":
        return latents / float(scheduler.config.sigma_data)  # it multiplies what it is given
    return latents
