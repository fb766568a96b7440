"""The embedding of the empty caption, kept in the user's cache. Guidance needs it in every reply;
with it cached, no reply needs a text encoder.
"""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from anyweave.decoders.source import DecoderSource
from anyweave.files import cache_folder
from anyweave.processing.cache import fingerprint
from anyweave.tensors import load_tensors, save_tensors

logger = logging.getLogger(__name__)


class RememberedUnconditional:
    """One decoder's file in ``~/.cache/anyweave/decoders`` (or ``$ANYWEAVE_CACHE``), named after
    the identity of its text encoder and tokenizer and the dtype they compute in.
    """

    def __init__(self, source: DecoderSource, dtype: torch.dtype, *parts: str) -> None:
        """`parts` are those that embed captions, by default one text encoder and its tokenizer."""
        parts = parts or ("text_encoder", "tokenizer")
        owner = fingerprint(source.identity(*parts), str(dtype))
        self.path = cache_folder() / "decoders" / f"unconditional-{owner}.safetensors"

    def get(self) -> Float[Tensor, "1 Q C"] | None:
        """The embedding, if this machine has computed it for this decoder before."""
        if not self.path.is_file():
            return None
        try:
            return load_tensors(self.path)["unconditional"]
        except (ValueError, KeyError) as error:
            logger.warning("%s cannot be read and is made again (%s)", self.path, error)
            return None

    def put(self, embedding: Float[Tensor, "1 Q C"]) -> None:
        """Store it. If the folder is not writable, the next run merely takes some seconds more."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_tensors({"unconditional": embedding}, self.path)
        except (OSError, SafetensorError) as error:
            logger.warning("cannot keep the unconditional embedding (%s)", error)
