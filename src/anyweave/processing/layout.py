"""The plan of a rendered conversation: pieces of ids and what each is, before any medium is read.

A piece is the smallest unit of rendering: control ids, one text part, the placeholders of one user
medium or the signal run of one assistant medium. Lengths and truncation are decided on pieces, so
nothing is loaded for turns that are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anyweave.batch import Cut
from anyweave.messages import Media, Role

Supervision = Literal["none", "all", "first"]
Truncation = Literal["error", "end"]


class ConversationTooLongError(ValueError):
    """A conversation that does not fit in the allowed tokens, even when cut as far as allowed."""


@dataclass(frozen=True)
class Piece:
    """Consecutive `ids`; `supervised` says which are labels; `media` is set for placeholder
    and signal runs, `control` for what the template puts around them.
    """

    ids: tuple[int, ...]
    supervised: Supervision = "none"
    media: Media | None = None
    control: bool = False
    shortened: str = ""
    """What the words for a medium leave out."""


@dataclass(frozen=True)
class TurnLayout:
    """The pieces of one message, `index` being its place in the conversation as given (-1: a
    default prompt).
    """

    role: Role
    index: int
    pieces: tuple[Piece, ...]

    @property
    def length(self) -> int:
        return sum(len(piece.ids) for piece in self.pieces)


def fit(
    turns: Sequence[TurnLayout],
    overhead: int,
    max_length: int | None,
    truncate: Truncation,
) -> tuple[list[TurnLayout], Cut]:
    """The turns that fit in `max_length` ids besides `overhead` ids that are always there, and what
    was cut.

    With ``truncate="end"`` the conversation is cut at its end, so that what is kept makes sense by
    itself: inside an assistant's text, before a medium that would not fit, and never after a
    question without an answer. Raises `ConversationTooLongError` with the numbers for ``"error"``,
    or if no word of an answer fits.
    """
    total = overhead + sum(turn.length for turn in turns)
    if max_length is None or total <= max_length:
        return list(turns), Cut()
    kept = _beginning(turns, max_length - overhead) if truncate == "end" else []
    if not kept:
        first = next((n for n, turn in enumerate(turns) if turn.role == "assistant"), len(turns))
        advice = (
            f"and its first answer begins after {overhead + sum(t.length for t in turns[:first])}"
            if truncate == "end"
            else "shorten it, or cut its end with truncate='end'"
        )
        raise ConversationTooLongError(
            f"conversation too long: {total} tokens in {len(turns)} turns, the limit is "
            f"{max_length}; {advice}"
        )
    whole = len(kept) - (kept[-1] is not turns[len(kept) - 1])
    media = _num_media(turns) - _num_media(kept)
    tokens = total - overhead - sum(turn.length for turn in kept)
    return kept, Cut(turns=len(turns) - whole, tokens=tokens, media=media)


def _beginning(turns: Sequence[TurnLayout], room: int) -> list[TurnLayout]:
    """As many turns as fit, the last of them the assistant's and perhaps shortened; none if no
    answer fits.
    """
    kept: list[TurnLayout] = []
    for turn in turns:
        if turn.length > room:
            if turn.role == "assistant" and (part := _shortened(turn, room)) is not None:
                kept.append(part)
            break
        kept.append(turn)
        room -= turn.length
    while kept and kept[-1].role != "assistant":
        kept.pop()
    return kept


def _shortened(turn: TurnLayout, room: int) -> TurnLayout | None:
    """The beginning of an answer, without an end of turn; None if nothing said fits in `room`."""
    pieces: list[Piece] = []
    for piece in turn.pieces:
        if len(piece.ids) > room:
            if piece.media is None and not piece.control and room > 0:
                pieces.append(replace(piece, ids=piece.ids[:room]))
            break
        pieces.append(piece)
        room -= len(piece.ids)
    said = [n for n, piece in enumerate(pieces) if not piece.control]
    return replace(turn, pieces=tuple(pieces[: said[-1] + 1])) if said else None


def _num_media(turns: Sequence[TurnLayout]) -> int:
    return sum(piece.media is not None for turn in turns for piece in turn.pieces)
