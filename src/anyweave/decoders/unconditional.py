"""The embedding of the empty caption, kept in the user's cache: guidance needs it in every reply,
and with it at hand no reply needs a text encoder.
"""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.processing.cache import (
    CacheError,
    FeatureCache,
    cache_folder,
    fingerprint,
    text_digest,
)

from .source import DecoderSource

logger = logging.getLogger(__name__)


class RememberedUnconditional:
    """One decoder's entry in ``~/.cache/anyweave/decoders`` (or ``$ANYWEAVE_CACHE``), by the
    identity of its text encoder and tokenizer and the type they compute in.
    """

    def __init__(self, source: DecoderSource, dtype: torch.dtype) -> None:
        owner = fingerprint(source.identity("text_encoder", "tokenizer"), str(dtype))
        self._cache = FeatureCache(cache_folder() / "decoders")
        self._key = FeatureCache.key(text_digest(""), owner)

    def get(self) -> Float[Tensor, "1 Q C"] | None:
        """The embedding, if this decoder ever computed it on this machine."""
        try:
            found = self._cache.get("caption", self._key)
        except (OSError, CacheError) as error:
            logger.warning("cannot read the unconditional embedding (%s)", error)
            return None
        return None if found is None else found["unconditional"]

    def put(self, embedding: Float[Tensor, "1 Q C"]) -> None:
        """Keep it. A folder that cannot be written costs the next run some seconds, no more."""
        try:
            self._cache.put("caption", self._key, {"unconditional": embedding})
        except (OSError, CacheError) as error:
            logger.warning("cannot keep the unconditional embedding (%s)", error)
