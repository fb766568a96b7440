"""Turns as ``{"from": "human", "value": words}``, which several formats share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from anyweave.data.place import Place, each, listed, shown
from anyweave.data.placeholders import Turn, write_turn
from anyweave.messages import Conversation, Media, Role

SPEAKERS: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}
NAMES: dict[Role, str] = {role: name for name, role in SPEAKERS.items()}


def entries(
    value: Any, key: str, place: Place, read: Iterable[str] = ()
) -> list[tuple[Role, str, Mapping[str, Any]]]:
    """Role, words and the entry itself of every turn; the caller also reads the keys `read` in it.

    Raises `RowError` with all problems.
    """

    def turn(entry: Any, index: int) -> tuple[Role, str, Mapping[str, Any]]:
        at = f"{key}[{index}]"
        place.object(entry, at, required=("from", "value"), optional=None)
        name = entry["from"]
        if not isinstance(name, str) or name not in SPEAKERS:
            raise place.error(at, f"unknown speaker {shown(name)}; they are {listed(SPEAKERS)}")
        place.rest(entry, at, ("from", "value", *read))
        return SPEAKERS[name], place.text(entry["value"], f"{at}.value"), entry

    return each(turn, place.turns(value, key))


def dialogue(value: Any, key: str, place: Place) -> list[Turn]:
    """Who says what."""
    return [(role, words) for role, words, _ in entries(value, key, place)]


def written_turns(
    conversation: Conversation,
    mark: Callable[[Media, str], str],
    who: str = "from",
    what: str = "value",
    names: Mapping[Role, str] = NAMES,
) -> list[dict[str, str]]:
    """The turns with ``mark(medium, "turn_part")`` in place of media: see `write_turn`."""
    return [
        {who: names[message.role], what: write_turn(message, turn, mark)}
        for turn, message in enumerate(conversation)
    ]


def without_system(conversation: Conversation) -> tuple[Conversation, tuple[str, ...]]:
    """The user's and the assistant's turns, and what is lost."""
    spoken = [message for message in conversation if message.role != "system"]
    return spoken, ("system messages",) * (len(spoken) < len(conversation))
