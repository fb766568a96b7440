"""What every frozen decoder offers. `DECODERS` in the package lists the implementations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from anyweave.decoders.codecs.sizes import Rates
from anyweave.decoders.sampling import Steps
from anyweave.messages import Modality


@runtime_checkable
class Decoder(Protocol):
    """Conditioning to media, captions to the conditioning to aim at, and the loss that teaches
    others to condition it. The weights are frozen and never saved with a checkpoint of the system.
    """

    modality: Modality
    gradient_checkpointing: bool

    @property
    def rate(self) -> float | None:
        """Hz of sounds, frames/s of clips, None for pictures."""
        ...

    @property
    def num_timesteps(self) -> int:
        """How many noise levels `denoising_loss` knows: its `timesteps` are below it."""
        ...

    @property
    def conditioning_shape(self) -> tuple[int, int]:
        """Q and C: how many conditioning vectors it reads, and their width."""
        ...

    def encode_captions(self, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        """The conditioning of captions: what output projectors learn to give."""
        ...

    def encode_media(
        self, media: Sequence[np.ndarray], *, rates: Rates | None = None, **size: Any
    ) -> Float[Tensor, " B *latent"]:
        """Latents of media, fitted to the given size or else to the decoder's own."""
        ...

    def generate_steps(
        self, conditioning: Float[Tensor, "B Q C"], *, seeds: Sequence[int], **arguments: Any
    ) -> Steps[list[np.ndarray]]:
        """Yields a `Step`, or a plain (number, total), after each step, in the caller's thread, and
        returns the media, one for each row of `conditioning`. With ``previews=True`` steps show
        what will come of them, where the decoder can.
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
        """`defaults`: how it is used where a call says nothing else (`num_inference_steps`,
        `guidance_scale`, sizes), and its own options.
        """
        ...


class Adaptable(Decoder, Protocol):
    """A decoder in whose denoiser adapters can train."""

    denoiser_name: str
    """What diffusers calls the network that denoises: "unet" or "transformer"."""

    @property
    def denoiser(self) -> nn.Module:
        """The network that denoises, read now if it was not. Adapters train inside it."""
        ...

    def on_reading(self, name: str, change: Callable[[nn.Module], None]) -> None:
        """Let `change` prepare a network: at once if it is in memory, and whenever it is read."""
        ...
