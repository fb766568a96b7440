"""A frozen encoder that reads its weights when it first encodes a medium: never, if the feature
cache is complete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anyweave.messages import Modality

logger = logging.getLogger(__name__)


class LazyEncoder(nn.Module):
    """An `anyweave.encoders.Encoder` that starts with only a `skeleton` (shapes, preprocessing).

    Args:
        skeleton: the same encoder on the meta device.
        load: reads the real one. Called once, in the process that encodes; data workers only
            preprocess.
    """

    skeleton: Any

    def __init__(self, skeleton: Any, load: Callable[[], Any]) -> None:
        super().__init__()
        # Not registered as a submodule: it has nothing to move, count or save.
        self.__dict__["skeleton"] = skeleton
        self._load = load
        self._device = torch.device("cpu")
        self.modalities: tuple[Modality, ...] = skeleton.modalities
        self.feature_dim = int(skeleton.feature_dim)
        self.sample_rate: int | None = getattr(skeleton, "sample_rate", None)

    @property
    def loaded(self) -> bool:
        """Whether the weights are in memory."""
        return "encoder" in self._modules

    def num_patches(self, modality: Modality) -> int:
        return int(self.skeleton.num_patches(modality))

    def preprocess(
        self, modality: Modality, array: np.ndarray, *, rate: float | None = None
    ) -> Tensor:
        """One medium as the encoder's input; needs no weights."""
        prepared: Tensor = self.skeleton.preprocess(modality, array, rate=rate)
        return prepared

    def forward(self, modality: Modality, inputs: Tensor) -> Tensor:
        """Features ``[M, N, D]`` of preprocessed media; the first call reads the weights."""
        if not self.loaded:
            logger.info("reading the encoder of %s", ", ".join(self.modalities))
            # Tensors made in inference mode cannot be moved or trained through later.
            with torch.inference_mode(False):
                self.encoder = self._load().requires_grad_(False).eval().to(self._device)
        weight = next(self.encoder.parameters(), None)
        features: Tensor = self.encoder(
            modality, inputs if weight is None else inputs.to(weight.dtype)
        )
        return features

    def train(self, mode: bool = True) -> LazyEncoder:
        """A frozen encoder stays in eval mode."""
        super().train(False)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> LazyEncoder:
        super()._apply(fn, recurse)
        self._device = fn(torch.empty(0, device=self._device)).device
        return self
