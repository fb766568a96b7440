"""Editing finished media: predictions for the old words take the source back to noise (inversion),
those for the new words denoise it again, and where the two agree the source stays as it is.

The course is deterministic, so it runs in both directions: DDIM (Song et al., 2021) for diffusion,
Euler steps for flow matching; both are one affine step ``c x + d prediction``. The difference of
the two predictions says where to change something (DiffEdit, Couairon et al., 2023), measured along
the inverted course itself instead of at random noise. It also sets the strength: the noise levels
at which the predictions for old and new words differ.

Shape legend: B batch, c channels, ``*place`` the axes after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from anyweave.decoders.denoising import Diffusion, Flow
from anyweave.decoders.sampling import Predict, Step, Steps

_ROUNDS = 2  # fixed-point iterations that make a backward step exact
_TOLD = 0.9  # share of the difference between old and new words below the chosen strength
_CHANGED = 0.5  # of a typical peak difference (twice the mean); places above it are changed


@dataclass
class Edit:
    """How to change a source. `old` is the conditioning of what it shows, [B, Q, C]."""

    old: Float[Tensor, "B Q C"]
    strength: float | None = None
    """How far back towards noise to go, 0..1; None chooses it from what is to change."""
    changed: list[float] = field(default_factory=list)
    """Set afterwards: the share of each medium that was open to change."""
    chosen: float | None = None
    """Set afterwards: the strength that was used."""


@dataclass(frozen=True)
class Course:
    """Noise levels in sampling order: `times` [N], and the shares of signal and noise at each and
    at the clean end [N + 1].
    """

    noising: Diffusion | Flow
    times: Tensor
    signal: Tensor
    noise: Tensor

    @classmethod
    def of(cls, noising: Diffusion | Flow, times: Tensor) -> Course:
        signal, noise = noising.shares(times)
        ends = signal.new_ones(1), noise.new_zeros(1)
        return cls(noising, times, torch.cat([signal, ends[0]]), torch.cat([noise, ends[1]]))

    def step(self, index: int) -> tuple[float, float]:
        """c and d of the step from level `index` to the next: ``c x + d prediction``."""
        here = self.signal[index], self.noise[index]
        following = self.signal[index + 1], self.noise[index + 1]
        clean, noise = self.noising.parted(*here)
        c, d = (following[0] * clean[i] + following[1] * noise[i] for i in (0, 1))
        return float(c), float(d)


def edit_steps(
    predict: Predict,
    course: Course,
    clean: Float[Tensor, " B c *place"],
    edit: Edit,
    new: Float[Tensor, "B Q C"],
    *,
    negative: Float[Tensor, "B Q C"] | None,
    guidance_scale: float,
) -> Steps[Tensor]:
    """Latents of the changed media; yields a `Step` after every level, in both directions."""
    levels, old = len(course.times), edit.old
    first = 0 if edit.strength is None else levels - max(1, round(levels * edit.strength))
    total = 2 * (levels - first)
    both = torch.cat([old, new])
    path: dict[int, Tensor] = {levels: clean}
    told: dict[int, Tensor] = {}  # how much the predictions differ, [B, *place]
    for index in range(levels - 1, first - 1, -1):
        c, d = course.step(index)
        current = path[index + 1]
        for _ in range(_ROUNDS):
            current = (path[index + 1] - d * predict(current, course.times[index], old)) / c
        one, other = predict(torch.cat([current] * 2), course.times[index], both).chunk(2)
        # In units of the medium: the effect of the difference on a step.
        told[index] = (one - other).float().abs().mean(1) * abs(d)
        path[index] = current
        yield Step(levels - index, total)
    if edit.strength is None:
        first = _start(told, levels)
    mask = changed_places(torch.stack([told[i] for i in range(first, levels)]).sum(0))
    edit.chosen = (levels - first) / levels
    edit.changed = [float(share) for share in mask.flatten(1).float().mean(1)]
    mask = mask.unsqueeze(1)
    current = path[first]
    conditions = new if negative is None else torch.cat([negative, new])
    for index in range(first, levels):
        c, d = course.step(index)
        doubled = current if negative is None else torch.cat([current] * 2)
        prediction = predict(doubled, course.times[index], conditions)
        if negative is not None:
            without, with_ = prediction.chunk(2)
            prediction = without + guidance_scale * (with_ - without)
        current = torch.where(mask, c * current + d * prediction, path[index + 1])
        yield Step(total - (levels - 1 - index), total)
    return current


def _start(told: dict[int, Tensor], levels: int) -> int:
    """The first level: the cleanest with nearly all of the difference between old and new words
    below it, for the medium in the batch that needs the most noise.
    """
    sums = torch.stack([told[i].flatten(1).sum(1) for i in range(levels)])  # [N, B]
    below = sums.flip(0).cumsum(0) / sums.sum(0).clamp(min=1e-12)
    needed = (below < _TOLD).sum(0) + 1
    return levels - min(levels, int(needed.max()))


def changed_places(told: Float[Tensor, " B *place"]) -> Tensor:
    """Where the predictions differ strongly, slightly widened: bool of the same shape."""
    flat = told.flatten(1)
    top = (2 * flat.mean(1)).clamp(min=1e-12).view(-1, *[1] * (told.ndim - 1))
    mask = (told / top > _CHANGED).float().unsqueeze(1)
    pool: Any = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}[mask.ndim]
    wider: Tensor = pool(mask, 3, stride=1, padding=1)
    return wider.squeeze(1) > 0
