"""Media of captions through the frozen decoders alone: no language model has a say."""

from __future__ import annotations

import torch

from anyweave.decoders.sampling import drain
from anyweave.generation.denoising import decoder_arguments
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
    """A medium of `caption`, an array with its rate; None where the model has no such decoder.

    Raises `ValueError` if the decoder's text encoder is not loaded (load the model with
    ``bridge="caption"``).
    """
    if modality not in model.decoders:
        return None
    decoder, options = model.decoders[modality], options or GenerationOptions()
    with torch.inference_mode():
        conditioning = decoder.encode_captions([caption])
        arguments = decoder_arguments(model, modality, options)
        array = drain(decoder.generate_steps(conditioning, seeds=[seed], **arguments))[0]
    rate = options.rate(modality, decoder.rate)
    return MEDIA_TYPES[modality](source=array, caption=caption, rate=rate, generated=True)
