"""A diffusers pipeline, one step at a time: its own undecorated call, with a scheduler that ends
the loop after one step.

This lets our generators pause after every step in the caller's thread without duplicating a
pipeline's loop, and gives the denoiser's prediction at any noise level with gradients to the
embeddings.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor


class StopHereError(Exception):
    """Ends a pipeline's loop."""


def one_step(scheduler: Any, **settings: Any) -> Any:
    """A fresh scheduler of the same class, which a pipeline takes for an ordinary one.

    The pipeline sees only the step at `index` of the schedule. `step` takes it, keeps `latents` and
    raises `StopHereError`; after the last step the pipeline goes on to decode instead. `planning`
    stops as soon as the schedule is known. `probing` stops before the step and keeps `output`, the
    denoiser's prediction.
    """
    base: Any = type(scheduler)
    # The schedule of a trigonometric flow (Sana-Sprint) includes its end.
    tail = int(base.__name__ == "SCMScheduler")

    class OneStep(base):
        timesteps: Tensor
        planning = False
        probing = False
        index = 0
        begun = False  # latents are at the level of the first step already
        schedule: Tensor
        latents: Tensor
        output: Tensor
        before_decoding: Callable[[], None] | None = None

        @property
        def init_noise_sigma(self) -> Any:
            if self.probing or self.index or self.begun:
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

        @functools.wraps(base.set_timesteps)  # pipelines inspect its arguments
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
                return sample  # already at the scale the denoiser was trained on
            scaled: Tensor = base.scale_model_input(self, sample, *args, **kwargs)
            return scaled

        @functools.wraps(base.step)  # pipelines check whether it takes a generator
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
    """The pipeline's own call, under the caller's gradient mode; None if it was stopped."""
    try:
        return inspect.unwrap(type(pipeline).__call__)(pipeline, return_dict=False, **arguments)[0]
    except StopHereError:
        return None


def entering(scheduler: Any, latents: Tensor) -> Tensor:
    """Latents between two steps, in the form the pipeline expects as input."""
    if type(scheduler).__mro__[1].__name__ == "SCMScheduler":
        return latents / float(scheduler.config.sigma_data)  # it multiplies its input by this
    return latents
