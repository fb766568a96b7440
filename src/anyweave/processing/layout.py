"""The plan of a rendered conversation: pieces of ids with what each is, before any medium is read.

A piece is the smallest unit of rendering: control ids, one text part, the placeholders of one user
medium or the signal run of one assistant medium. Lengths and truncation are decided on pieces, so
nothing is loaded for turns that drop out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from anyweave.messages import Media, Role

Supervision = Literal["none", "all", "first"]


class ConversationTooLongError(ValueError):
    """A conversation that does not fit in the tokens allowed, whatever may be dropped of it."""


@dataclass(frozen=True)
class Piece:
    """`ids` in a row; `supervised` says which of them are labels; `media` is set for placeholder
    and signal runs.
    """

    ids: tuple[int, ...]
    supervised: Supervision = "none"
    media: Media | None = None


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
    truncate: Literal["error", "oldest"],
) -> list[TurnLayout]:
    """The turns that fit in `max_length` ids beside `overhead` ids that are always there.

    With ``truncate="oldest"`` whole turns are dropped from the front, a user turn together with the
    replies to it; the system turn and the last exchange always stay. Raises
    `ConversationTooLongError` with the numbers when that is not enough.
    """
    kept = list(turns)
    total = overhead + sum(turn.length for turn in kept)
    if max_length is None or total <= max_length:
        return kept
    if truncate == "oldest":
        system = [turn for turn in kept if turn.role == "system"]
        exchanges = _exchanges([turn for turn in kept if turn.role != "system"])
        while len(exchanges) > 1:
            exchanges.pop(0)
            kept = system + [turn for exchange in exchanges for turn in exchange]
            if overhead + sum(turn.length for turn in kept) <= max_length:
                return kept
    left = overhead + sum(turn.length for turn in kept)
    advice = (
        "its last exchange alone has"
        if truncate == "oldest"
        else "pass truncate='oldest' or shorten it; it has"
    )
    raise ConversationTooLongError(
        f"conversation too long: {total} tokens in {len(turns)} turns, the limit is {max_length}; "
        f"{advice} {left}"
    )


def _exchanges(turns: Sequence[TurnLayout]) -> list[list[TurnLayout]]:
    """Turns grouped so that each group after the first begins with a user turn."""
    groups: list[list[TurnLayout]] = []
    for turn in turns:
        if not groups or (turn.role == "user" and groups[-1][-1].role == "assistant"):
            groups.append([])
        groups[-1].append(turn)
    return groups
