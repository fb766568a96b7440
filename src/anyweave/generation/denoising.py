"""What a decoder is told to make, and whether several such works can be one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.decoders.sampling import Steps
from anyweave.generation.options import GenerationOptions
from anyweave.messages import Media, Modality, kind_of
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.processor import DEFAULT_RATE, load_array


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Media of one modality to be made by `decoder`, one for each row of `conditioning`."""

    decoder: Any
    conditioning: Float[Tensor, "K Q C"]
    seeds: Sequence[int]
    arguments: dict[str, Any]
    """Of `generate_steps`: steps, guidance, size."""
    alone: bool = False
    """Never to be merged with another work."""
    previews: bool = False
    """Whether somebody wants to see the media in the making."""

    @torch.inference_mode()
    def steps(self) -> Steps[list[np.ndarray]]:
        """Step by step; returns the media."""
        more = {"previews": True} if self.previews else {}
        made: list[np.ndarray] = yield from self.decoder.generate_steps(
            self.conditioning, seeds=self.seeds, **self.arguments, **more
        )
        return made

    def fits(self, other: Denoising) -> bool:
        """Whether both can be made together: the same decoder and equal arguments. What is edited
        starts from latents of its own, so it is made alone.
        """
        ours, theirs = self.arguments, other.arguments
        return (
            self.decoder is other.decoder
            and not (self.alone or other.alone or "latents" in ours or "latents" in theirs)
            and ours.keys() == theirs.keys()
            and all(_equal(value, theirs[name]) for name, value in ours.items())
        )


def merged(works: Sequence[Denoising]) -> Denoising:
    """Works that fit each other as one, its media in their order; each as if made alone."""
    first = works[0]
    return Denoising(
        decoder=first.decoder,
        conditioning=torch.cat([work.conditioning for work in works]),
        seeds=[seed for work in works for seed in work.seeds],
        arguments=first.arguments,
        previews=any(work.previews for work in works),
    )


def decoder_arguments(
    model: NextGPT,
    modality: Modality,
    options: GenerationOptions,
    *,
    count: int = 1,
    source: Media | None = None,
) -> dict[str, Any]:
    """What the decoder is told beside conditioning and seeds. `source` is a medium to start from,
    for all `count` media.
    """
    decoder = model.decoders[modality]
    arguments = options.decoder_arguments(modality)
    if options.negative_prompt is not None:
        arguments["negative"] = decoder.encode_captions([options.negative_prompt])
    if source is not None and source.modality == modality:
        # Only sounds are resampled; a clip keeps its own rate, and its speed.
        array, rate = load_array(source, round(decoder.rate or DEFAULT_RATE))
        # The source is fitted to the asked size, and the decoder then keeps the size of its
        # latents.
        size = {n: arguments.pop(n) for n in kind_of(modality).sizes if n in arguments}
        arguments["latents"] = decoder.encode_media([array] * count, rates=[rate] * count, **size)
        arguments["strength"] = options.strength
    return arguments


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)
