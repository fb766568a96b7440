"""A linear discriminant (Fisher, 1936): a judge without descent, for features that tell enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

_SHRINKAGE = 0.1


@dataclass(frozen=True)
class Discriminant:
    """The nearest class mean, under a covariance shared by all classes; with the features' mean and
    spread.
    """

    names: tuple[str, ...]
    mean: Float[Tensor, " F"]
    spread: Float[Tensor, " F"]
    weight: Float[Tensor, "F K"]
    bias: Float[Tensor, " K"]

    @classmethod
    def fitted(
        cls, names: Sequence[str], features: Float[Tensor, "N F"], labels: Int[Tensor, " N"]
    ) -> Discriminant:
        mean, spread = features.mean(0), features.std(0) + 1e-3
        z = (features - mean) / spread
        centres = torch.stack([z[labels == row].mean(0) for row in range(len(names))])
        rest = z - centres[labels]
        within = (1 - _SHRINKAGE) * rest.T @ rest / len(z) + _SHRINKAGE * torch.eye(z.shape[1])
        weight = torch.linalg.solve(within, centres.T)
        return cls(tuple(names), mean, spread, weight, -0.5 * (centres.T * weight).sum(0))

    def scores(self, features: Float[Tensor, "*B F"]) -> Float[Tensor, "*B K"]:
        return (features - self.mean) / self.spread @ self.weight + self.bias

    def name(self, features: Float[Tensor, " F"]) -> str:
        return self.names[int(self.scores(features).argmax())]
