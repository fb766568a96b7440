"""Events of a reply in progress: the engine yields an `EngineEvent`, the chat an `Event`."""

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
    """New text: whole characters only. `token_ids` are the ids it was decoded from; None where a
    stop string cut them.
    """

    text: str
    token_ids: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class SignalSpan:
    """One complete run of signal tokens. `hidden` are the states after each of its S tokens."""

    modality: Modality
    hidden: Float[Tensor, "S D"]
    token_ids: tuple[int, ...]
    forced: bool = False
    """True if the run was appended because the caller forced it."""
    caption: str | None = None
    """The words between the tags of a call; None if the model asks with signal tokens."""
    call_ids: tuple[int, ...] = ()
    """The ids of such a call, which precedes the run."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The engine's last event."""

    finish_reason: FinishReason
    """ "length" if `max_new_tokens` or the model's last position was reached."""
    num_tokens: int
    """Tokens generated, including signal runs, excluding the end of turn."""


@dataclass(frozen=True, kw_only=True)
class MediaStarted:
    """The model asked for a medium. `index` numbers this reply's media in the order requested."""

    index: int
    modality: Modality
    caption: str
    token_ids: tuple[int, ...] = ()
    """The signal tokens with which it asked."""
    forced: bool = False
    """True if the caller forced it."""
    unknown_words: tuple[str, ...] = ()
    """Words of the caption that the decoder never learned; the reply says so behind the medium."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A decoder took step `step` of `total` for the media numbered `indices`."""

    modality: Modality
    indices: tuple[int, ...]
    step: int
    total: int
    previews: tuple[UInt8[np.ndarray, "h w 3"], ...] | None = None
    """With the option `previews`, for visual media: a small preview picture of each of `indices`.
    """


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A medium was not made anew: an earlier one, with caption `caption`, was edited."""

    caption: str
    strength: float | None
    """How far back towards noise it went, 0..1; None if the decoder does not report it."""
    changed: float | None
    """The share of it that was open to change; the rest is unchanged."""
    known: bool
    """Whether the conditioning of the source was known."""


@dataclass(frozen=True, kw_only=True)
class Retrieved:
    """A medium was not made: `part` was found in the user's index."""

    part: Media
    score: float
    source: str
    licence: str


@dataclass(frozen=True, kw_only=True)
class MediaDone:
    """A medium is ready: `part` holds its array, rate and caption. `edited` says what it was made
    from, `retrieved` where it was found; both are None if it was made anew.
    """

    index: int
    part: Media
    edited: Edited | None = None
    retrieved: Retrieved | None = None


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What was dropped from the conversation before this reply to fit the context: the oldest whole
    exchanges with their media.
    """

    exchanges: int = 0
    messages: int = 0
    tokens: int = 0
    media: int = 0

    def __bool__(self) -> bool:
        return self.messages > 0

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(**{name: mine + getattr(other, name) for name, mine in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class Described:
    """A user's medium in this turn that the language model saw only as a captioner's words."""

    modality: Modality
    words: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a reply cost. `cached_tokens` prompt tokens were already in the key-value cache."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    dropped: Dropped = Dropped()
    described: tuple[Described, ...] = ()
    context_length: int | None = None
    """Positions available to prompt and reply; None if the model has no limit."""
    shortened: tuple[str, ...] = ()
    """Media of the conversation that are read as words, and which part of them is not read."""
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
