"""What every frozen encoder offers. `ENCODERS` in the package lists the implementations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from jaxtyping import Float
from torch import Tensor

from anyweave.messages import Modality


@runtime_checkable
class Encoder(Protocol):
    """Media in, patch features out. The weights are frozen and never saved in a checkpoint of the
    system.

    `preprocess` runs in loader workers, on one medium and on the CPU, and is deterministic. Calling
    the encoder runs on the model's device, on a stack of preprocessed media ``[M, ...]``. The two
    are separate so that slow decoding stays out of the training step and features can be cached.
    """

    modalities: tuple[Modality, ...]
    feature_dim: int
    sample_rate: int | None
    """Hz of the sounds it reads; None if it reads none."""

    def num_patches(self, modality: Modality) -> int:
        """N: the number of feature vectors per medium."""
        ...

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor:
        """One medium as the encoder's input.

        image ``uint8[H, W, 3]``, video ``uint8[T, H, W, 3]`` and its rate, audio ``float32[S]``.
        """
        ...

    def __call__(self, modality: Modality, inputs: Tensor) -> Float[Tensor, "M N D"]: ...

    @classmethod
    def from_pretrained(cls, path: str | Path, **overrides: Any) -> Self: ...

    def save_pretrained(self, path: str | Path) -> None: ...
