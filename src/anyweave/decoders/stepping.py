"""A diffusers pipeline, one step at a time: its own undecorated call, with a scheduler that ends
the loop after one step.

So our generators can pause after every step in the caller's thread, nothing of a pipeline's loop is
written a second time, and the denoiser's prediction can be had at any noise level with gradients to
the embeddings.
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


def entering(scheduler: Any, latents: Tensor) -> Tensor:
    """Latents between two steps as the pipeline wants to be given them."""
    if type(scheduler).__mro__[1].__name__ == "SCMScheduler":
        return latents / float(scheduler.config.sigma_data)  # it multiplies what it is given
    return latents
