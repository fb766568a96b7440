"""Denoising jobs: what a decoder is to make, and merging several jobs into one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.decoders.editing import Edit
from anyweave.decoders.sampling import Steps
from anyweave.generation.options import GenerationOptions
from anyweave.messages import Media, Modality, kind_of
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.processor import DEFAULT_RATE, load_array

SDEDIT_STRENGTH = 0.6  # default where a decoder cannot invert


@dataclass(frozen=True, kw_only=True)
class Denoising:
    """Media of one modality to be made by `decoder`, one for each row of `conditioning`."""

    decoder: Any
    conditioning: Float[Tensor, "K Q C"]
    seeds: Sequence[int]
    arguments: dict[str, Any]
    """Arguments of `generate_steps`: steps, guidance, size."""
    alone: bool = False
    """Never merge with another job."""
    previews: bool = False
    """Whether to show previews of the media."""

    @torch.inference_mode()
    def steps(self) -> Steps[list[np.ndarray]]:
        """Yield step by step; returns the media."""
        more = {"previews": True} if self.previews else {}
        made: list[np.ndarray] = yield from self.decoder.generate_steps(
            self.conditioning, seeds=self.seeds, **self.arguments, **more
        )
        return made

    def fits(self, other: Denoising) -> bool:
        """Whether both can be merged: same decoder and equal arguments. Edits start from their own
        latents, so they are made alone.
        """
        ours, theirs = self.arguments, other.arguments
        return (
            self.decoder is other.decoder
            and not (self.alone or other.alone or "latents" in ours or "latents" in theirs)
            and self.conditioning.shape[1:] == other.conditioning.shape[1:]
            and ours.keys() == theirs.keys()
            and all(_equal(value, theirs[name]) for name, value in ours.items())
        )


def merged(works: Sequence[Denoising]) -> Denoising:
    """Merge jobs that fit each other, keeping the order; each medium is as if made alone."""
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
    old: Float[Tensor, "1 Q C"] | None = None,
) -> dict[str, Any]:
    """The decoder's arguments besides conditioning and seeds. `source` is a medium to edit, for all
    `count` media; `old` is the conditioning it was made with, if known.
    """
    decoder = model.decoders[modality]
    arguments = options.decoder_arguments(modality)
    if options.negative_prompt is not None:
        arguments["negative"] = decoder.encode_captions([options.negative_prompt])
    if source is not None and source.modality == modality:
        # Only sounds are resampled; a clip keeps its own rate, and its speed.
        array, rate = load_array(source, round(decoder.rate or DEFAULT_RATE))
        # The source is fitted to the requested size.
        size = {n: arguments[n] for n in kind_of(modality).sizes if n in arguments}
        arguments["latents"] = decoder.encode_media([array] * count, rates=[rate] * count, **size)
        if getattr(decoder, "edits", False):
            old = decoder.unconditional() if old is None else old
            arguments["edit"] = Edit(old.expand(count, -1, -1), options.strength)
        else:  # SDEdit, which every decoder supports
            arguments["strength"] = options.strength or SDEDIT_STRENGTH
    return arguments


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)
