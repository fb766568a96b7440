"""What a reply in the making says, as it happens. The engine yields the first two, the chat all of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from anyweave.generation.reply import Reply
from anyweave.messages import Media, Modality

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, kw_only=True)
class TextDelta:
    """New text: whole characters only. `token_ids` are the ids it was decoded from."""

    text: str
    token_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SignalSpan:
    """One complete run of signal tokens. `hidden` are the states after each of its S tokens."""

    modality: Modality
    hidden: Float[Tensor, "S D"]
    token_ids: tuple[int, ...]
    forced: bool = False
    """True where the run was appended because the caller demanded it."""
    caption: str | None = None
    """The words between the tags of a call; None where the model asks with its signal tokens."""
    call_ids: tuple[int, ...] = ()
    """The ids of such a call, which the run follows."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The engine's last event."""

    finish_reason: FinishReason
    """ "length" where `max_new_tokens` or the last position of the model was reached."""
    num_tokens: int
    """Tokens generated, signal runs included, the end of turn excluded."""


@dataclass(frozen=True, kw_only=True)
class MediaStarted:
    """The model asked for a medium. `index` counts this reply's media in the order of speech."""

    index: int
    modality: Modality
    caption: str
    token_ids: tuple[int, ...] = ()
    """The signal tokens with which it asked."""
    forced: bool = False
    """True where the caller demanded it."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A decoder took step `step` of `total` for the media numbered `indices`."""

    modality: Modality
    indices: tuple[int, ...]
    step: int
    total: int
    previews: tuple[UInt8[np.ndarray, "h w 3"], ...] | None = None
    """With the option `previews`, and where the medium can be seen: a small picture of what each of
    `indices` will be.
    """


@dataclass(frozen=True, kw_only=True)
class MediaDone:
    """A medium is ready: `part` holds its array, rate and caption."""

    index: int
    part: Media


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What left the conversation before this reply, oldest first, because the language model has no
    more positions: whole exchanges with their media.
    """

    exchanges: int = 0
    messages: int = 0
    tokens: int = 0
    media: int = 0

    def __bool__(self) -> bool:
        return self.messages > 0


@dataclass(frozen=True, kw_only=True)
class Described:
    """A user's medium of this turn of which the language model saw a captioner's words alone."""

    modality: Modality
    words: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a reply cost. `cached_tokens` of the prompt were already in the key-value cache."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    dropped: Dropped = Dropped()
    described: tuple[Described, ...] = ()
    context_length: int | None = None
    """Positions that prompt and reply could take; None where the model has no limit."""
    shortened: tuple[str, ...] = ()
    """Media of the conversation that are read as words, and what of them is not read."""
    seconds: Mapping[Modality, float] = field(default_factory=dict)
    """Wall-clock seconds per modality; "text" is prefill and decoding."""
    steps: Mapping[Modality, int] = field(default_factory=dict)
    """Denoising steps per modality, summed over media."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The reply is complete."""

    message: Reply
    finish_reason: FinishReason
    usage: Usage


Event = TextDelta | MediaStarted | Progress | MediaDone | Done
EngineEvent = TextDelta | SignalSpan | Finished
