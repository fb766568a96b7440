"""A conversation in its written form (`anyweave.data.written`), as a language model or a person
wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from anyweave.data.written import SPEAKERS
from anyweave.messages import MEDIA_TYPES, Conversation, Message, Part, Role, Text

_ROLES: dict[str, Role] = {name.lower(): role for role, name in SPEAKERS.items()}
_TURN = re.compile(r"^\s*\**(human|machine)\**\s*:\**[ \t]*", re.IGNORECASE | re.MULTILINE)
_MEDIUM = re.compile(r"\[\s*(image|video|audio)\s*:\s*([^\[\]]+?)\s*\]", re.IGNORECASE)
_SLOT = re.compile(r"[\[<{]\s*(image|picture|photo|video|clip|audio|sound|music)\b", re.IGNORECASE)


def read_conversation(text: str) -> Conversation:
    """The conversation in a written form; its media have captions and no source.

    Text before the first turn is left out (language models greet). Raises `ValueError` when the
    turns do not alternate, one says nothing, or a medium is written in another way.
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
            raise ValueError(f"line {number} is {SPEAKERS[message.role]}'s; the two take turns")
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
            modality = match[1].lower()
            yield MEDIA_TYPES[modality](caption=match[2])
