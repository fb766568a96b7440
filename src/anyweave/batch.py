"""What flows between processor, model and trainer: frozen dataclasses of tensors, shapes in the
types.

Legend: B batch, L sequence length, N patches of one medium, D feature width, M media of one
modality in a batch, T targets of one modality in a batch, Q conditioning tokens, C conditioning
width, S signal tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from anyweave.messages import Media, Modality

IGNORE_INDEX = -100


@dataclass(frozen=True)
class MediaInput:
    """One user medium of a sample: `length` placeholder ids start at `start`.

    Once it is read, exactly one of `inputs` (the encoder's preprocessed tensor, without batch axis)
    and `features` (frozen encoder output ``[N, D]``, from a cache) is set: a cached feature is
    another form of the same medium. `part` is the medium itself, `key` that of its features in a
    cache.
    """

    modality: Modality
    start: int
    length: int
    part: Media | None = None
    key: str | None = None
    inputs: Tensor | None = None
    features: Float[Tensor, "N D"] | None = None


@dataclass(frozen=True)
class Target:
    """One assistant medium of a sample: a run of `length` signal-token ids starts at `start`.

    `caption` is what the medium shows. `latents` (decoder-native) come from a cache, under `key`,
    or are made by the trainer's frozen decoders from `array`, the content of the medium `part`, and
    its `rate` in Hz or frames/s.
    """

    modality: Modality
    start: int
    length: int
    caption: str | None = None
    part: Media | None = None
    key: str | None = None
    array: Any = None
    rate: float | None = None
    latents: Tensor | None = None


@dataclass(frozen=True)
class Cut:
    """What a length limit cut from a conversation's end; falsy if nothing.

    `turns` counts those removed or shortened.
    """

    turns: int = 0
    tokens: int = 0
    media: int = 0

    def __bool__(self) -> bool:
        return self.tokens > 0


@dataclass(frozen=True)
class Sample:
    """One rendered conversation: ids, what to learn from them, where media enter and leave, and
    what a length limit cut."""

    input_ids: Int[Tensor, "L"]  # noqa: F821
    labels: Int[Tensor, "L"]  # noqa: F821
    media: tuple[MediaInput, ...] = ()
    targets: tuple[Target, ...] = ()
    cut: Cut = Cut()
    shortened: tuple[str, ...] = ()
    """Media that are given as words, and what the words leave out."""

    @property
    def length(self) -> int:
        return int(self.input_ids.shape[0])


@dataclass(frozen=True)
class BatchMedia:
    """All user media of one modality in a batch, with the place of each: `rows` and `starts` are
    ``[M]``."""

    rows: Int[Tensor, "M"]  # noqa: F821
    starts: Int[Tensor, "M"]  # noqa: F821
    length: int
    inputs: Tensor | None = None  # [M, ...] preprocessed
    features: Float[Tensor, "M N D"] | None = None


@dataclass(frozen=True)
class BatchTargets:
    """All assistant media of one modality in a batch.

    `caption_embeddings` is ``[T, Q, C]``; `latents` is ``[K, ...]`` for the targets numbered in
    `latent_index` ``[K]`` (some targets are known by caption alone).
    """

    rows: Int[Tensor, "T"]  # noqa: F821
    starts: Int[Tensor, "T"]  # noqa: F821
    length: int
    captions: tuple[str | None, ...]
    caption_embeddings: Float[Tensor, "T Q C"] | None = None
    latents: Tensor | None = None
    latent_index: Int[Tensor, "K"] | None = None  # noqa: F821


@dataclass(frozen=True)
class Batch:
    """Right-padded samples. `attention_mask` is 1 where a token counts (Hugging Face
    convention)."""

    input_ids: Int[Tensor, "B L"]
    attention_mask: Int[Tensor, "B L"]
    labels: Int[Tensor, "B L"]
    media: Mapping[Modality, BatchMedia] = field(default_factory=dict)
    targets: Mapping[Modality, BatchTargets] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        return _to(self, device)


@dataclass(frozen=True)
class ModelOutput:
    """What one training forward gives: logits only at supervised positions, and per modality the
    final states at signal tokens with the conditioning that is projected from them.
    """

    logits: Float[Tensor, "P V"]  # P supervised positions, in row-major order of the shifted labels
    labels: Int[Tensor, "P"]  # noqa: F821
    conditioning: Mapping[Modality, Float[Tensor, "T Q C"]]
    signal_states: Mapping[Modality, Float[Tensor, "T S D"]] = field(default_factory=dict)


def _to(value: Any, device: torch.device | str) -> Any:
    from dataclasses import fields, is_dataclass, replace

    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {key: _to(item, device) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: _to(getattr(value, f.name), device) for f in fields(value)}
        )
    return value
