"""The written form of a conversation, for language models and human readers.

A line begins with ``Human:``, ``Machine:`` or ``System:``, and a medium is written in its place as
``[image: what it shows]``.
"""

from __future__ import annotations

from anyweave.messages import Conversation, Media, Role, Text

SPEAKERS: dict[Role, str] = {"system": "System", "user": "Human", "assistant": "Machine"}


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
        lines.append(f"{SPEAKERS[message.role]}: {said}")
    return "\n".join(lines)


def written_caption(part: Media) -> str:
    """A caption for the written form, where brackets have a meaning of their own."""
    return (part.caption or "").translate({ord("["): "(", ord("]"): ")"})
