"""Makes media from captions with the frozen decoders alone, without the language model."""

from __future__ import annotations

import numpy as np
import torch

from anyweave.decoders.sampling import drain
from anyweave.generation.denoising import Denoising, decoder_arguments
from anyweave.generation.options import GenerationOptions
from anyweave.messages import MEDIA_TYPES, Media, Modality
from anyweave.model.any_to_any import NextGPT


def depict(
    model: NextGPT,
    modality: Modality,
    caption: str,
    seed: int = 0,
    options: GenerationOptions | None = None,
) -> Media | None:
    """A medium for `caption`, an array with its rate; None if the model has no such decoder.
    `ReplyBatcher.depict` makes several together.

    Raises `ValueError` if the decoder's text encoder is not loaded (load the model with
    ``bridge="caption"``).
    """
    if modality not in model.decoders:
        return None
    options = options or GenerationOptions()
    (array,) = drain(depiction(model, modality, caption, seed, options).steps())
    return depicted(model, modality, caption, options, array)


@torch.inference_mode()
def depiction(
    model: NextGPT, modality: Modality, caption: str, seed: int, options: GenerationOptions
) -> Denoising:
    """The denoising job of `depict`."""
    decoder = model.decoders[modality]
    return Denoising(
        decoder=decoder,
        conditioning=decoder.encode_captions([caption]),
        seeds=[seed],
        arguments=decoder_arguments(model, modality, options),
    )


def depicted(
    model: NextGPT, modality: Modality, caption: str, options: GenerationOptions, array: np.ndarray
) -> Media:
    """The result of `depiction`, as a medium."""
    rate = options.rate(modality, model.decoders[modality].rate)
    return MEDIA_TYPES[modality](source=array, caption=caption, rate=rate, generated=True)
