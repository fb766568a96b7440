"""What frozen parts made of the media and captions of samples: found in a feature cache, or kept
there. Nothing else reads or writes the cache for samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from anyweave.batch import Sample
from anyweave.messages import Media, Modality
from anyweave.processing.cache import FeatureCache, Kind, media_digest, text_digest

Fingerprints = Mapping[Kind, Mapping[Modality, str]]
"""The names of the frozen parts in keys, by what they make and by modality."""


class SampleCache:
    """Features, caption embeddings and latents by content and frozen part. Without a `cache`,
    nothing has a key, so nothing is found or kept.
    """

    def __init__(self, fingerprints: Fingerprints, cache: FeatureCache | None = None) -> None:
        self.fingerprints = fingerprints
        self.cache = cache

    def find(self, sample: Sample, *, targets: bool) -> Sample:
        """The sample with a key on each medium that can be kept, and with what is stored under it,
        so that the medium need not be read. `targets`: the assistant's media too. Raises
        `MediaError` for a file that cannot be read.
        """
        if self.cache is None:
            return sample
        media, made = [], []
        for medium in sample.media:
            key = self.media_key("features", medium.part)
            media.append(replace(medium, key=key, features=self.get("features", key)))
        for target in sample.targets:
            key = self.media_key("latents", target.part) if targets else None
            made.append(replace(target, key=key, latents=self.get("latents", key)))
        return replace(sample, media=tuple(media), targets=tuple(made))

    def media_key(self, kind: Kind, part: Media | None) -> str | None:
        """The key of what is made from a medium."""
        if part is None or part.source is None:
            return None
        owner = self._owner(kind, part.modality)
        return None if owner is None else FeatureCache.key(media_digest(part), owner)

    def caption_key(self, modality: Modality, caption: str) -> str | None:
        """The key of a caption's embedding."""
        owner = self._owner("caption", modality)
        return None if owner is None else FeatureCache.key(text_digest(caption), owner)

    def get(self, kind: Kind, key: str | None) -> Tensor | None:
        """What is stored under a key."""
        found = None if self.cache is None or key is None else self.cache.get(kind, key)
        return None if found is None else found[kind]

    def keep(self, kind: Kind, key: str | None, tensor: Tensor) -> Tensor:
        """Store the tensor and return it as the cache will, so that the first and later epochs see
        the same values.
        """
        tensor = tensor.detach().cpu().contiguous()
        if self.cache is None or key is None:
            return tensor
        return self.cache.get_or_compute(kind, key, lambda: {kind: tensor})[kind]

    def _owner(self, kind: Kind, modality: Modality) -> str | None:
        return None if self.cache is None else self.fingerprints.get(kind, {}).get(modality)
