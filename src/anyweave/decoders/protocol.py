"""What every frozen decoder offers. `DECODERS` in the package lists the implementations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.decoders.codecs.sizes import Rates
from anyweave.decoders.sampling import Steps
from anyweave.messages import Modality


@runtime_checkable
class Decoder(Protocol):
    """Conditioning -> media, captions -> target conditioning, and the loss that trains others to
    condition it. The weights are frozen and never saved in a checkpoint of the system.
    """

    modality: Modality
    gradient_checkpointing: bool

    @property
    def rate(self) -> float | None:
        """Hz for sounds, frames/s for clips, None for pictures."""
        ...

    @property
    def num_timesteps(self) -> int:
        """How many noise levels `denoising_loss` has: its `timesteps` are below this."""
        ...

    @property
    def conditioning_shape(self) -> tuple[int, int]:
        """Q and C: how many conditioning vectors it reads, and their width."""
        ...

    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """The conditioning of captions, which output projectors learn to predict."""
        ...

    def encode_media(
        self, media: Sequence[np.ndarray], *, rates: Rates | None = None, **size: Any
    ) -> Float[Tensor, " B *latent"]:
        """Latents of media, fitted to the given size, by default the decoder's own."""
        ...

    def generate_steps(
        self, conditioning: Float[Tensor, "B Q C"], *, seeds: Sequence[int], **arguments: Any
    ) -> Steps[list[np.ndarray]]:
        """Yields a `Step`, or a plain (number, total), after each step in the caller's thread, and
        returns the media, one per row of `conditioning`. With ``previews=True``, steps carry
        previews if the decoder supports them.
        """
        ...

    def denoising_loss(
        self, conditioning: Float[Tensor, "B Q C"], latents: Float[Tensor, " B *latent"], **how: Any
    ) -> Float[Tensor, " B"]:
        """Each sample's error; gradients reach `conditioning` and the denoiser's adapters."""
        ...

    def requires_grad_(self, requires_grad: bool = True) -> Self: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device) -> Self: ...

    @classmethod
    def from_pretrained(cls, modality: Modality, path: str | Path, **defaults: Any) -> Self:
        """`defaults`: settings that calls may override (`num_inference_steps`, `guidance_scale`,
        sizes), and the decoder's own options.
        """
        ...
