"""A dialogue while it is made: a conversation with what is known of it, and its written form.

Written form, for language models and for people who edit: a line begins with ``Human:`` or
``Machine:``, and a medium stands as ``[image: what it shows]`` in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from anyweave.data.release import Origin
from anyweave.messages import MEDIA_TYPES, Conversation, Media, Message, Modality, Part, Role, Text

__all__ = ["Dialogue", "media_of", "read_conversation", "write_conversation", "written_caption"]

_ROLES: dict[str, Role] = {"human": "user", "machine": "assistant"}
_SPEAKERS: dict[Role, str] = {"user": "Human", "assistant": "Machine"}
_TURN = re.compile(r"^\s*\**(human|machine)\**\s*:\**[ \t]*", re.IGNORECASE | re.MULTILINE)
_MEDIUM = re.compile(r"\[\s*(image|video|audio)\s*:\s*([^\[\]]+?)\s*\]", re.IGNORECASE)
_SLOT = re.compile(r"[\[<{]\s*(image|picture|photo|video|clip|audio|sound|music)\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A conversation of user and assistant, begun by the user.

    A medium without a source waits to be filled; its caption says with what. `origins` belongs to
    the media in order, None where one waits. `tags` are what happens in it: ``explicit``,
    ``implicit``, ``perception``, ``reasoning``, ``suggestion``, ``planning``, ...
    """

    id: str
    topic: str
    writer: str
    conversation: Conversation
    tags: tuple[str, ...] = ()
    origins: tuple[Origin | None, ...] = field(default=())

    def __post_init__(self) -> None:
        missing = len(media_of(self.conversation)) - len(self.origins)
        assert missing >= 0, f"{self.id}: more origins than media"
        object.__setattr__(self, "origins", (*self.origins, *([None] * missing)))

    @property
    def num_turns(self) -> int:
        """Questions with their answers."""
        return sum(message.role == "assistant" for message in self.conversation)

    def with_media(self, media: Sequence[Media], origins: Sequence[Origin | None]) -> Dialogue:
        """The same with other media in the same places."""
        following = iter(media)
        conversation = [
            Message(
                message.role,
                [next(following) if isinstance(part, Media) else part for part in message.parts],
            )
            for message in self.conversation
        ]
        return replace(self, conversation=conversation, origins=tuple(origins))

    def to_row(self) -> dict[str, Any]:
        """Plain JSON; media by their paths."""
        return {
            "id": self.id,
            "topic": self.topic,
            "writer": self.writer,
            "tags": list(self.tags),
            "messages": [
                {"role": message.role, "content": [_part_row(part) for part in message.parts]}
                for message in self.conversation
            ],
            "origins": [None if origin is None else asdict(origin) for origin in self.origins],
        }

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Dialogue:
        """The dialogue that `to_row` wrote."""
        return cls(
            id=row["id"],
            topic=row["topic"],
            writer=row["writer"],
            tags=tuple(row["tags"]),
            conversation=[
                Message(message["role"], [_part(part) for part in message["content"]])
                for message in row["messages"]
            ],
            origins=tuple(None if o is None else Origin(**o) for o in row["origins"]),
        )


def media_of(conversation: Conversation) -> list[Media]:
    """All media of a conversation, in the order they are met."""
    return [part for message in conversation for part in message.media()]


def _part_row(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    row = {"type": part.modality, "caption": part.caption}
    return row if part.source is None else {**row, "path": str(part.source)}


def _part(row: dict[str, Any]) -> Part:
    if row["type"] == "text":
        return Text(row["text"])
    modality: Modality = row["type"]
    return MEDIA_TYPES[modality](row.get("path"), caption=row["caption"])


# --- the written form


def write_conversation(conversation: Conversation) -> str:
    """The written form of a conversation."""
    lines = []
    for message in conversation:
        said = " ".join(
            part.text.strip()
            if isinstance(part, Text)
            else f"[{part.modality}: {written_caption(part)}]"
            for part in message.parts
        )
        lines.append(f"{_SPEAKERS[message.role]}: {said}")
    return "\n".join(lines)


def written_caption(part: Media) -> str:
    """A caption as it stands in the written form, where brackets have a meaning of their own."""
    return (part.caption or "").translate({ord("["): "(", ord("]"): ")"})


def read_conversation(text: str) -> Conversation:
    """The conversation in a written form; its media have captions and no source.

    What stands before the first turn is left out (language models greet). Raises `ValueError` when
    the turns do not alternate, one says nothing, or a medium is written in another way.
    """
    found = list(_TURN.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)][: len(found)]
    conversation = [
        Message(_ROLES[match[1].lower()], list(_parts(text[match.end() : end])))
        for match, end in zip(found, ends, strict=True)
    ]
    expected: Role = "user"
    for number, message in enumerate(conversation, 1):
        if message.role != expected:
            raise ValueError(f"line {number} is {_SPEAKERS[message.role]}'s; the two take turns")
        if not message.parts:
            raise ValueError(f"line {number} says nothing")
        if odd := _SLOT.search(message.text):
            raise ValueError(
                f"line {number} writes a medium as {message.text[odd.start() :][:30]!r}; "
                "it is written like [image: what it shows]"
            )
        expected = "assistant" if expected == "user" else "user"
    if not conversation or expected == "assistant":
        raise ValueError("a dialogue begins with Human: and ends with Machine:")
    return conversation


def _parts(said: str) -> Iterator[Part]:
    """Text and media of one turn. White space at the ends and before a medium is layout."""
    spoken = False
    end = 0
    for match in [*_MEDIUM.finditer(said), None]:
        text = said[end : match.start() if match else len(said)].strip()
        if text:
            yield Text(f" {text}" if spoken else text)
            spoken = True
        if match:
            end = match.end()
            modality: Modality = match[1].lower()  # type: ignore[assignment]
            yield MEDIA_TYPES[modality](caption=match[2])
