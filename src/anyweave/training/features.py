"""Outputs of the frozen parts on the data, computed once: encoder features, caption embeddings,
target latents.

A cached feature is another form of the same medium, never a second code path: the renderer takes it
from the `SampleCache` if present, and `FrozenFeatures.complete` computes and stores what is
missing. Captions repeat, so their embeddings also stay in memory.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from anyweave.batch import Batch, BatchMedia, MediaInput, Sample, Target
from anyweave.data.mixture import reading, where
from anyweave.losses import aimed_at
from anyweave.media import MediaError
from anyweave.messages import MEDIA_MODALITIES, Conversation, Media, Modality, silent_replies
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.processing.cached import SampleCache
from anyweave.processing.collate import collate
from anyweave.processing.layout import ConversationTooLongError
from anyweave.processing.processor import STUMBLES, Processor
from anyweave.training.plan import EpochSource, Source, in_epoch

logger = logging.getLogger(__name__)
_CAPTIONS_AT_ONCE = 64
_REMEMBERED = 4096  # captions; 1 GB for SD-1.5


@dataclass(frozen=True)
class Rendered:
    """One conversation ready for the trainer. `sample` is None if it was skipped; `problem` says
    why. `lost`: content of the row that was not read.
    """

    index: int
    sample: Sample | None
    problem: str | None = None
    lost: tuple[str, ...] = ()


class Renderer:
    """Conversations -> samples, without the model: runs in data workers too."""

    def __init__(
        self, processor: Processor, source: Source | EpochSource, stored: SampleCache | None = None
    ) -> None:
        self.processor = processor
        self.source = source
        self.stored = SampleCache({}) if stored is None else stored

    def __call__(self, index: int, *, load_targets: bool, epoch: int = 0) -> Rendered:
        """Render item `index` of an epoch. An unreadable medium, an overlong text or an empty reply
        skips the item instead of ending the run.

        Raises `ValueError` naming the item's place if it breaks the rules of its format, of a
        conversation or of the model.
        """
        items = in_epoch(self.source, epoch)
        try:
            read = reading(items, index)
            conversation: Conversation = read.conversation
            sample = self.processor.render(conversation, read=False)
            sample = self.stored.find(sample, targets=load_targets)
            sample = self.processor.read(sample, targets=load_targets)
        except (MediaError, OSError, ConversationTooLongError) as error:
            return Rendered(index, None, problem=_placed(items, index, str(error)))
        except ValueError as error:
            raise ValueError(_placed(items, index, str(error))) from error
        silent = silent_replies(conversation)
        if silent:
            return Rendered(index, None, problem=_placed(items, index, silent[0]))
        if not bool((sample.labels != -100).any()):
            problem = "no assistant turn to learn from"
            return Rendered(index, None, problem=_placed(items, index, problem))
        kinds = (name.partition(": ")[2] for name in sample.shortened)
        return Rendered(index, sample, lost=(*read.lost, *kinds))


def _placed(items: Source, index: int, problem: str) -> str:
    """A problem prefixed with its item's number, and file and line if the source knows them."""
    place = where(items, index)
    known = not place or problem.startswith(place)
    return f"item {index}: {problem if known else f'{place}: {problem}'}"


class FrozenFeatures:
    """Adds the outputs of `model`'s frozen parts to rendered samples, through `cache` if there is
    one.

    Without a cache, encoder inputs stay unchanged (the forward encodes them) and latents are
    computed every time.
    """

    def __init__(self, model: NextGPT, cache: FeatureCache | None = None) -> None:
        self.model = model
        self.stored = SampleCache(model.fingerprints, cache)
        self._captions: dict[tuple[Modality, str], Tensor] = {}
        self._aligned: dict[Modality, bool] = {}

    def renderer(self, source: Source | EpochSource, max_length: int | None = None) -> Renderer:
        """A renderer of `source` for this model that uses the cache. The model's own processor is
        not changed.
        """
        processor = self.model.processor
        if max_length is not None:
            processor = copy.copy(processor)
            processor.max_length = max_length
            processor.truncate = "end"
        return Renderer(processor, source, self.stored)

    @torch.no_grad()
    def complete(self, rendered: Sequence[Rendered], *, latents: bool) -> list[Sample]:
        """The samples with features, and with latents if requested; missing ones are computed in
        one batch per modality. Skipped conversations are left out.
        """
        kept = [(item, item.sample) for item in rendered if item.sample is not None]
        media = [list(sample.media) for _, sample in kept]
        targets = [list(sample.targets) for _, sample in kept]
        self._fill_features(media)
        if latents:
            self._fill_latents(targets)
        return [
            replace(sample, media=tuple(media[row]), targets=tuple(targets[row]))
            for row, (_, sample) in enumerate(kept)
        ]

    def batch(self, samples: Sequence[Sample], *, captions: bool) -> Batch:
        """Collate, and add caption embeddings if requested. Targets without a caption get zeros, to
        be masked.
        """
        batch = collate(samples, self.model.processor.pad_id)
        if not captions:
            return batch
        targets = {
            modality: target
            if target.caption_embeddings is not None
            else replace(target, caption_embeddings=self._caption_rows(modality, target.captions))
            for modality, target in batch.targets.items()
        }
        return replace(batch, targets=targets)

    @torch.no_grad()
    def caption_embeddings(
        self, modality: Modality, captions: Sequence[str]
    ) -> Float[Tensor, "B Q C"]:
        """Embeddings by the decoder's own text encoder, with as many rows as are predicted: from
        memory, else from the cache, else computed in batches. Where padding is masked, rows after
        a caption's end are NaN; excess rows of longer captions are dropped.
        """
        if len(self._captions) > _REMEMBERED:
            self._captions.clear()
        missing = []
        for caption in dict.fromkeys(captions):
            if (modality, caption) not in self._captions:
                stored = self.stored.get("caption", self.stored.caption_key(modality, caption))
                if stored is None:
                    missing.append(caption)
                else:
                    self._captions[modality, caption] = stored
        for at in range(0, len(missing), _CAPTIONS_AT_ONCE):
            some = missing[at : at + _CAPTIONS_AT_ONCE]
            decoder = self.model.decoders[modality]
            made = decoder.encode_captions(some).cpu()
            for caption, row in zip(some, made, strict=True):
                key = self.stored.caption_key(modality, caption)
                # All-zero rows are masked padding.
                row = row[row.any(-1)] if getattr(decoder, "masks", False) else row
                self._captions[modality, caption] = self.stored.keep("caption", key, row)
        tokens = self.model.spec.decoders[modality].conditioning_tokens
        return torch.stack(
            [aimed_at(self._captions[modality, caption], tokens) for caption in captions]
        )

    def _caption_rows(
        self, modality: Modality, captions: Sequence[str | None]
    ) -> Float[Tensor, "T Q C"] | None:
        known = [caption for caption in captions if caption is not None]
        if not known or not self.aligns(modality):
            return None
        found = self.caption_embeddings(modality, known)
        rows, nothing = iter(found), torch.zeros_like(found[0])
        return torch.stack([nothing if c is None else next(rows) for c in captions])

    def aligns(self, modality: Modality) -> bool:
        """Whether captions of a modality can serve as alignment targets. If not, a warning is
        logged once, and only the denoising loss trains its projector.
        """
        if modality not in self.model.output_projectors:
            return False
        if modality not in self._aligned:
            tokens = self.model.spec.decoders[modality].conditioning_tokens
            asked = getattr(self.model.decoders[modality], "aligns", None)
            self._aligned[modality] = asked is None or asked(tokens)
            if not self._aligned[modality]:
                logger.warning(
                    "no caption alignment for %s: %d conditioning tokens are predicted, and its "
                    "decoder's captions have another length; the denoising loss teaches alone",
                    modality,
                    tokens,
                )
        return self._aligned[modality]

    def _fill_features(self, media: list[list[MediaInput]]) -> None:
        """Replace encoder inputs by features where these can be cached."""
        for modality in MEDIA_MODALITIES:
            found = [
                (row, column, entry)
                for row, entries in enumerate(media)
                for column, entry in enumerate(entries)
                if entry.modality == modality and None not in (entry.inputs, entry.key)
            ]
            if not found:
                continue
            inputs = torch.stack([e.inputs for _, _, e in found if e.inputs is not None])
            inputs = inputs.to(self.model.device)
            nowhere = torch.zeros(len(found), dtype=torch.long)
            batch = BatchMedia(nowhere, nowhere, 0, inputs=inputs)
            with _named("encoder", modality, [entry.part for _, _, entry in found]):
                made = self.model.encode(modality, batch)
            for (row, column, entry), features in zip(found, made, strict=True):
                stored = self.stored.keep("features", entry.key, features)
                media[row][column] = replace(entry, inputs=None, features=stored)

    def _fill_latents(self, targets: list[list[Target]]) -> None:
        """Replace the arrays of targets by latents."""
        for modality in MEDIA_MODALITIES:
            found = [
                (row, column, target)
                for row, entries in enumerate(targets)
                for column, target in enumerate(entries)
                if target.modality == modality and target.array is not None
            ]
            if not found or modality not in self.model.output_projectors:
                continue
            with _named("decoder", modality, [target.part for _, _, target in found]):
                made = self.model.encode_targets(
                    modality, [t.array for _, _, t in found], [t.rate for _, _, t in found]
                )
            for (row, column, target), latents in zip(found, made, strict=True):
                stored = self.stored.keep("latents", target.key, latents)
                targets[row][column] = replace(target, array=None, latents=stored)


@contextmanager
def _named(part: str, modality: Modality, media: Sequence[Media | None]) -> Iterator[None]:
    """Within the block, an error of a frozen part becomes a `ValueError` naming the media it was
    given.
    """
    try:
        yield
    except STUMBLES as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        names = ", ".join(sorted({medium.name for medium in media if medium is not None}))
        raise ValueError(f"the {modality} {part} cannot take one of {names}: {error}") from error
