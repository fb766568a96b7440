"""Our own format: one conversation a line, media as files beside it.

    {"messages": [
      {"role": "user", "content": [{"type": "text", "text": "What is this?"},
                                   {"type": "image", "path": "media/cat.png"}]},
      {"role": "assistant", "content": "A cat."}]}

`content` is a string or a list of parts. A text part has `text`. A media part (`image`, `video`,
`audio`) has `path`, relative to the folder of the file, and may have `caption`, what it shows; an
assistant's part may have a caption alone. Blank lines are skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from anyweave import media
from anyweave.messages import (
    MEDIA_TYPES,
    MODALITIES,
    ROLES,
    Conversation,
    Media,
    Message,
    Part,
    Text,
)

__all__ = ["MessagesJsonl", "read_messages", "write_messages"]


def read_messages(path: str | Path, *, check_media: bool = True) -> Iterator[Conversation]:
    """The conversations of a `messages` file, one by one.

    `check_media` looks whether every media file is there (none is opened). Raises `ValueError` that
    names file, line and place for whatever is not in the format.
    """
    path = _existing_file(path)
    return _read_lines(path, check_media)


class MessagesJsonl(Sequence[Conversation]):
    """A `messages` file by index: only the places of the lines are kept in memory.

    Raises `ValueError` as `read_messages` does, but only when a line is asked for.
    """

    def __init__(self, path: str | Path, *, check_media: bool = True) -> None:
        self.path = _existing_file(path)
        self._check_media = check_media
        self._places: list[tuple[int, int]] = []  # line number, offset in bytes
        offset = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    self._places.append((number, offset))
                offset += len(line)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number, offset = self._places[index]
        with open(self.path, "rb") as file:
            file.seek(offset)
            return _Line(self.path, number, self._check_media).conversation(file.readline())


def write_messages(
    conversations: Iterable[Conversation], path: str | Path, *, media_dir: str | Path | None = None
) -> int:
    """Write conversations, whole or not at all, and say how many.

    Media in memory is saved in `media_dir` (by default the folder ``<name>_media`` beside the
    file): arrays as PNG, MP4 or WAV, encoded bytes as they are. Files on disk stay where they are.
    Raises `ValueError` naming the conversation; what was written until then is removed.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent}; make it first")
    store = _Store(path.parent, Path(media_dir or path.with_name(f"{path.stem}_media")))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            for count, conversation in enumerate(conversations, 1):
                place = f"{path}: conversation {count}"
                if not conversation:
                    raise ValueError(f"{place}: it has no messages; leave it out")
                rows = [
                    store.message_row(message, f"{count - 1:06d}_{turn}", place)
                    for turn, message in enumerate(conversation)
                ]
                line = json.dumps({"messages": rows}, ensure_ascii=False)
                file.write(_encodable(line, place) + "\n")
        os.replace(temporary, path)
    except BaseException:
        store.undo()
        raise
    finally:
        temporary.unlink(missing_ok=True)
    return count


# --- reading


def _existing_file(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "no such file"
        raise ValueError(f"{path}: {what}; give a messages file, JSON lines")
    return path


def _read_lines(path: Path, check_media: bool) -> Iterator[Conversation]:
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _Line(path, number, check_media).conversation(line)


@dataclass(frozen=True)
class _Line:
    """One line of a file, for its errors: `place` is like ``messages[2].content[0]``."""

    path: Path
    number: int
    check_media: bool

    def error(self, place: str, problem: str) -> ValueError:
        return ValueError(f"{self.path}:{self.number}: {place + ': ' if place else ''}{problem}")

    def conversation(self, line: bytes) -> Conversation:
        try:
            row = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise self.error("", f"not UTF-8 ({error}); save the file as UTF-8") from error
        except json.JSONDecodeError as error:
            raise self.error(
                "", f"bad JSON ({error}); each line is one whole JSON object"
            ) from error
        self.check_object(row, "", required=("messages",))
        messages = row["messages"]
        if not isinstance(messages, list) or not messages:
            raise self.error("messages", f"a list of at least one message, got {_shown(messages)}")
        return [self.message(entry, f"messages[{i}]") for i, entry in enumerate(messages)]

    def message(self, entry: Any, place: str) -> Message:
        self.check_object(entry, place, required=("role", "content"))
        role, content = entry["role"], entry["content"]
        if role not in ROLES:
            raise self.error(place, f"unknown role {_shown(role)}; a role is {_listed(ROLES)}")
        if isinstance(content, str):
            return Message(role, Text(self.text(content, f"{place}.content")))
        if not isinstance(content, list):
            raise self.error(
                f"{place}.content", f"a string or a list of parts, got {_shown(content)}"
            )
        parts = [self.part(part, role, f"{place}.content[{i}]") for i, part in enumerate(content)]
        try:
            return Message(role, parts)
        except ValueError as error:  # media in a system message
            raise self.error(place, str(error)) from error

    def part(self, part: Any, role: str, place: str) -> Part:
        if not isinstance(part, dict) or "type" not in part:
            raise self.error(place, f"a part is an object with a type, got {_shown(part)}")
        kind = part["type"]
        if kind not in MODALITIES:
            raise self.error(place, f"unknown type {_shown(kind)}; a type is {_listed(MODALITIES)}")
        if kind == "text":
            self.check_object(part, place, required=("type", "text"))
            return Text(self.text(part["text"], f"{place}.text"))
        self.check_object(part, place, required=("type",), optional=("path", "caption"))
        path, caption = part.get("path"), part.get("caption")
        if caption is not None:
            self.text(caption, f"{place}.caption")
        if path is None:
            if role != "assistant" or caption is None:
                raise self.error(
                    place,
                    "it has no path; only an assistant's medium may have a caption alone",
                )
            return MEDIA_TYPES[kind](None, caption=caption)
        return MEDIA_TYPES[kind](self.media_path(path, f"{place}.path"), caption=caption)

    def media_path(self, path: Any, place: str) -> str:
        if not self.text(path, place):
            raise self.error(place, "it is empty; give the path of a file")
        full = self.path.parent / path
        if self.check_media and not full.is_file():
            raise self.error(
                place,
                f"no such media file: {full}; paths are relative to the folder of {self.path.name}",
            )
        return str(full)

    def text(self, value: Any, place: str) -> str:
        if not isinstance(value, str):
            raise self.error(place, f"it must be a string, got {_shown(value)}")
        return _encodable(value, f"{self.path}:{self.number}: {place}")

    def check_object(
        self, value: Any, place: str, *, required: Sequence[str], optional: Sequence[str] = ()
    ) -> None:
        """Raise unless `value` is an object with all `required` keys and none but these."""
        allowed = (*required, *optional)
        if not isinstance(value, dict):
            raise self.error(place, f"an object with {_listed(allowed)}, got {_shown(value)}")
        for key in value:
            if key not in allowed:
                near = get_close_matches(key, allowed, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {_listed(allowed)}"
                raise self.error(place, f"unknown key {key!r}{hint}")
        for key in required:
            if key not in value:
                raise self.error(place, f"the key {key!r} is missing")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _encodable(text: str, place: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: half a surrogate pair is no text") from error
    return text


# --- writing


class _Store:
    """Media beside a file: saves what is in memory and remembers it, to be undone."""

    def __init__(self, folder: Path, media_dir: Path) -> None:
        self._folder = folder.resolve()
        self._media_dir = media_dir
        self._saved: list[Path] = []

    def message_row(self, message: Message, stem: str, place: str) -> dict[str, Any]:
        parts = message.parts
        if len(parts) == 1 and isinstance(parts[0], Text):
            return {"role": message.role, "content": parts[0].text}
        content = [
            {"type": "text", "text": part.text}
            if isinstance(part, Text)
            else self._media_row(part, message.role, f"{stem}_{i}", place)
            for i, part in enumerate(parts)
        ]
        return {"role": message.role, "content": content}

    def _media_row(self, part: Media, role: str, stem: str, place: str) -> dict[str, Any]:
        row: dict[str, Any] = {"type": part.modality}
        if part.source is not None:
            row["path"] = self._path(part, stem, place)
        elif role != "assistant" or part.caption is None:
            raise ValueError(
                f"{place}: a {role}'s {part.modality} has no source; "
                "only an assistant's medium may have a caption alone"
            )
        if part.caption is not None:
            row["caption"] = part.caption
        return row

    def _path(self, part: Media, stem: str, place: str) -> str:
        if not isinstance(part.source, (str, Path)):
            self._media_dir.mkdir(parents=True, exist_ok=True)
        try:
            path = media.store(part, self._media_dir / stem)
        except media.MediaError as error:
            raise ValueError(f"{place}: {error}") from error
        if not path.is_file():
            raise ValueError(f"{place}: no such media file: {path}; check the path")
        if not isinstance(part.source, (str, Path)):
            self._saved.append(path)
        path = path.resolve()
        inside = path.is_relative_to(self._folder)
        return (path.relative_to(self._folder) if inside else path).as_posix()

    def undo(self) -> None:
        for path in self._saved:
            path.unlink(missing_ok=True)
