"""The one sampling loop, for any UNet, any diffusers scheduler and any latent shape."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")
Progress = Callable[[int, int], None]
Previews = list[np.ndarray] | None


class Step(NamedTuple):
    """One finished step: `number` of `total`, counted from 1."""

    number: int
    total: int
    previews: Previews = None
    """If requested: small pictures ``uint8[h, w, 3]`` of what each medium will become."""


# Yields after every step and returns the result.
Steps = Generator[Step, None, T]
# (latents, timestep, conditioning) -> what the UNet predicts
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
# (the UNet's input, its prediction, timestep) -> previews of the result
Preview = Callable[[Tensor, Tensor, Tensor], Previews]


def sample_generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator per sample, so a seed's result depends on neither batch nor device."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def initial_noise(
    shape: tuple[int, ...], generators: Sequence[torch.Generator]
) -> Float[Tensor, " B *latent"]:
    """Standard normal noise of `shape`, one row per generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def renoised(
    sampler: Any,
    latents: Float[Tensor, " B *latent"],
    noise: Float[Tensor, " B *latent"],
    timesteps: Tensor,
) -> Float[Tensor, " B *latent"]:
    """Finished latents with the scheduler's noise of `timesteps` added."""
    if hasattr(sampler, "scale_noise"):  # flow matching
        mixed: Tensor = sampler.scale_noise(latents, timesteps, noise)
    else:
        mixed = sampler.add_noise(latents, noise, timesteps)
    return mixed


def edit_timesteps(sampler: Any, num_inference_steps: int, strength: float) -> Tensor:
    """The last `strength` (0..1) of the schedule, for SDEdit (Meng et al., 2021).

    Sets the scheduler's begin index. Raises `ValueError` if no step would be left.
    """
    # The small term undoes binary rounding: 0.7 of 10 steps is 7, not 6.
    steps = int(num_inference_steps * strength + 1e-9)
    if not 0.0 < strength <= 1.0 or steps < 1:
        raise ValueError(
            f"strength must be above 0, at most 1, and leave at least one of the "
            f"{num_inference_steps} steps, got {strength}; "
            f"the least here is {1 / num_inference_steps:.3g}"
        )
    begin = (num_inference_steps - steps) * sampler.order
    if hasattr(sampler, "set_begin_index"):
        sampler.set_begin_index(begin)
    timesteps: Tensor = sampler.timesteps[begin:]
    return timesteps


def drain(steps: Steps[T], callback: Progress | None = None) -> T:
    """Run all steps and return their result; calls `callback(step, total)` after each."""
    while True:
        try:
            step = Step(*next(steps))
        except StopIteration as stop:
            result: T = stop.value
            return result
        if callback is not None:
            callback(step.number, step.total)


def run_sampler(
    predict: Predict,
    sampler: Any,
    latents: Float[Tensor, " B *latent"],
    timesteps: Tensor,
    conditioning: Float[Tensor, "B Q C"],
    *,
    negative: Float[Tensor, "B Q C"] | None,
    guidance_scale: float,
    generators: list[torch.Generator],
    eta: float = 0.0,
    preview: Preview | None = None,
) -> Steps[Tensor]:
    """Denoise `latents` over `timesteps`; yields after every step and returns the latents.

    With `negative`, every step predicts both halves in one forward pass and extrapolates from the
    negative to the conditioned one by `guidance_scale` (Ho and Salimans, 2022). Without it, only
    the conditioned half runs.
    """
    accepted = inspect.signature(sampler.step).parameters
    extra = {"eta": eta, "generator": generators}
    extra = {name: value for name, value in extra.items() if name in accepted}
    guided = negative is not None
    both = conditioning if negative is None else torch.cat([negative, conditioning])
    for index, timestep in enumerate(timesteps):
        doubled = torch.cat([latents, latents]) if guided else latents
        if hasattr(sampler, "scale_model_input"):  # flow matching has nothing to scale
            doubled = sampler.scale_model_input(doubled, timestep)
        prediction = predict(doubled, timestep, both)
        if guided:
            without, with_ = prediction.chunk(2)
            prediction = without + guidance_scale * (with_ - without)
        read = doubled[-len(latents) :]
        latents = sampler.step(prediction, timestep, latents, return_dict=False, **extra)[0]
        shown = None if preview is None else preview(read, prediction, timestep)
        yield Step(index + 1, len(timesteps), shown)
    return latents
