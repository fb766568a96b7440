"""A dialogue in the making: a conversation and what is known about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from anyweave.messages import MEDIA_TYPES, Conversation, Media, Message, Modality, Part, Text
from anyweave_making.release import Origin


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """A conversation of user and assistant, begun by the user.

    A medium without a source waits to be filled; its caption says with what. `origins` are those of
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
    """All media of a conversation, in order of appearance."""
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
