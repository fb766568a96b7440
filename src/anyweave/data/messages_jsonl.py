"""Our own format: one conversation per line, media as files beside it.

    {"messages": [
      {"role": "user", "content": [{"type": "text", "text": "What is this?"},
                                   {"type": "image", "path": "media/cat.png"}]},
      {"role": "assistant", "content": "A cat."}]}

`content` is a string or a list of parts. A text part has `text`. A media part (`image`, `video`,
`audio`) has `path`, relative to the folder of the file, and may have `caption`, what it shows; an
assistant's part may have a caption alone. A row may have an `id`, which is not kept. Blank lines
are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from anyweave.data.format import Format, Written
from anyweave.data.place import Place, each, listed, shown
from anyweave.data.store import MediaStore, PathOf
from anyweave.files import whole_file
from anyweave.messages import (
    MODALITIES,
    ROLES,
    Conversation,
    Media,
    Message,
    Part,
    Text,
    broken_rules,
)
from anyweave.modalities import known_modalities

_PART = {"type", "text", "path", "caption"}


def write_messages(
    conversations: Iterable[Conversation], path: str | Path, *, media_dir: str | Path | None = None
) -> int:
    """Write conversations, whole or not at all, and return how many.

    Media in memory are saved in `media_dir` (by default the folder ``<name>_media`` beside the
    file): arrays as PNG, MP4 or WAV, encoded bytes as they are. Files on disk stay where they are.
    Raises `ValueError` naming the conversation, after removing what was written so far.
    """
    path = Path(path)
    media_dir = Path(media_dir or path.with_name(f"{path.stem}_media"))
    store = MediaStore(path.parent, media_dir, absolute_outside=True)
    count = 0
    try:
        with whole_file(path) as file:
            for count, conversation in enumerate(conversations, 1):

                def path_of(part: Media, at: str, stem: str = f"{count - 1:06d}") -> str:
                    return store.path(part, f"{stem}_{at}")

                try:
                    written = write_conversation(conversation, path_of)
                    line = json.dumps(written.row, ensure_ascii=False)
                    Place("", path).text(line, "")
                except ValueError as error:
                    problem = str(error).removeprefix(": ")
                    raise ValueError(f"{path}: conversation {count}: {problem}") from error
                file.write(line.encode() + b"\n")
    except BaseException:
        store.undo()
        raise
    return count


# --- reading


def conversation_of(row: Any, place: Place) -> Conversation:
    """The conversation in a decoded row. Raises `RowError` with all its problems."""
    place.object(row, "", required=("messages",), optional=("id",))
    messages = place.turns(row["messages"], "messages")
    return each(lambda entry, i: _message(entry, f"messages[{i}]", place), messages)


def _message(entry: Any, key: str, place: Place) -> Message:
    place.object(entry, key, required=("role", "content"))
    role, content = entry["role"], entry["content"]
    if role not in ROLES:
        raise place.error(key, f"unknown role {shown(role)}; a role is {listed(ROLES)}")
    if isinstance(content, str):
        return Message(role, Text(place.text(content, f"{key}.content")))
    if not isinstance(content, list):
        raise place.error(f"{key}.content", f"a string or a list of parts, got {shown(content)}")
    parts = each(lambda part, i: _part(part, role, f"{key}.content[{i}]", place), content)
    try:
        return Message(role, parts)
    except ValueError as error:  # media in a system message
        raise place.error(key, str(error)) from error


def _part(part: Any, role: Any, key: str, place: Place) -> Part:
    if not isinstance(part, dict) or "type" not in part:
        raise place.error(key, f"a part is an object with a type, got {shown(part)}")
    kind = part["type"]
    if kind not in MODALITIES:
        raise place.error(
            key, f"unknown type {shown(kind)}; a type is {listed(('text', *known_modalities()))}"
        )
    if kind == "text":
        place.object(part, key, required=("type", "text"))
        return Text(place.text(part["text"], f"{key}.text"))
    place.object(part, key, required=("type",), optional=("path", "caption"))
    path = part.get("path")
    at = key if path is None else f"{key}.path"
    return place.medium(kind, path, at, role=role, caption=part.get("caption"))


# --- writing


def write_conversation(conversation: Conversation, path_of: PathOf) -> Written:
    """A conversation as a row. Nothing is lost but the token ids that its texts may have."""
    problems = broken_rules(conversation)
    if problems:
        raise ValueError(f"{problems[0]}; leave it out")
    messages = [_message_row(message, turn, path_of) for turn, message in enumerate(conversation)]
    return Written({"messages": messages})


def rebased(row: Mapping[str, Any], folder: Path, to: Path) -> dict[str, Any]:
    """A row of a file in `folder`, rewritten for a file in the folder `to` with the same media."""

    def part(entry: Mapping[str, Any]) -> dict[str, Any]:
        if "path" not in entry:
            return dict(entry)
        path = os.path.relpath((folder / entry["path"]).resolve(), to.resolve())
        return {**entry, "path": Path(path).as_posix()}

    def message(entry: Mapping[str, Any]) -> dict[str, Any]:
        content = entry["content"]
        return {
            **entry,
            "content": content if isinstance(content, str) else [part(p) for p in content],
        }

    return {**row, "messages": [message(entry) for entry in row["messages"]]}


def _message_row(message: Message, turn: int, path_of: PathOf) -> dict[str, Any]:
    parts = message.parts
    if len(parts) == 1 and isinstance(parts[0], Text):
        return {"role": message.role, "content": parts[0].text}
    content = [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else _media_row(part, message.role, f"{turn}_{i}", path_of)
        for i, part in enumerate(parts)
    ]
    return {"role": message.role, "content": content}


def _media_row(part: Media, role: str, at: str, path_of: PathOf) -> dict[str, Any]:
    row: dict[str, Any] = {"type": part.modality}
    if part.source is not None:
        row["path"] = path_of(part, at)
    elif part.caption is None:
        raise ValueError(f"the {role}'s {part.modality} has neither a source nor a caption")
    if part.caption is not None:
        row["caption"] = part.caption
    return row


def _recognised(row: Mapping[str, Any]) -> bool:
    """Whether a row has only our keys, down to its parts; their values may be wrong."""
    turns = row.get("messages")
    if not set(row) <= {"messages", "id"} or "messages" not in row:
        return False
    for turn in turns if isinstance(turns, list) else ():
        if isinstance(turn, dict):
            content = turn.get("content")
            parts = content if isinstance(content, list) else ()
            keys = {key for part in parts if isinstance(part, dict) for key in part}
            if not set(turn) <= {"role", "content"} or not keys <= _PART:
                return False
    return True


MESSAGES = Format(
    name="messages",
    about="our own: any conversation, media by path",
    recognises=_recognised,
    read=conversation_of,
    write=write_conversation,
    rebase=rebased,
)
