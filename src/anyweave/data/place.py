"""Where a row and its media are: what every format's reader checks rows with.

A reader is a function from one decoded row and its `Place` to a conversation. `Place` makes the
errors, which always begin with file and line, and turns a row's reference to a medium into a part.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import PIL.Image

from anyweave.errors import nearest
from anyweave.media import MediaError
from anyweave.messages import (
    MEDIA_MODALITIES,
    MEDIA_TYPES,
    Conversation,
    Media,
    Modality,
    Role,
    broken_rules,
)
from anyweave.modalities import known_modalities

Task = Literal["describe", "generate"]
IDS = (
    *("id", "_id", "idx", "index", "uid", "uuid", "key", "hash", "sha256", "md5"),
    *("source", "data_source", "source_data", "dataset", "origin", "url", "license", "licence"),
    *("split", "lang", "language", "category", "topic", "tags", "model", "created", "timestamp"),
)
"""Keys that say where a row is from, with nothing to learn: most formats ignore them."""
Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How rows are read, for all formats. Raises `ValueError` for an unknown task or modality."""

    media: str | Path | Mapping[Modality, str | Path] | None = None
    """Folder that paths are relative to, one for all or one per modality; None is the file's."""
    check_media: bool = True
    """Check that every media file exists (none is opened)."""
    captions_only: bool = False
    """Read only the captions of the assistant's media that have one: their files are not needed.
    For data whose media were never published.
    """
    task: Task = "describe"
    """What an X-caption pair becomes: the user shows X and the assistant describes it (stage 1),
    or the user says the caption and the assistant makes X (stage 2).
    """
    split: str | None = None
    """For data that come in splits; None is the training split."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """The file's own names for keys: ``{"caption": "title"}`` reads `caption` from `title`."""
    allow_outside: bool = False
    """Allow copying media from outside the folders of the data. A foreign row can then carry any
    file of this machine into a data set, by ``..``, an absolute path or a link.
    """

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ValueError(f"unknown task {self.task!r}; a task is {listed(get_args(Task))}")
        for modality in self.media if isinstance(self.media, Mapping) else ():
            if modality not in MEDIA_MODALITIES:
                raise ValueError(
                    f"media folders are for {listed(known_modalities())}, got {modality!r}"
                )

    def root(self, modality: Modality, folder: Path) -> Path:
        """The folder that paths of a modality are relative to."""
        named = self.media.get(modality) if isinstance(self.media, Mapping) else self.media
        return folder if named is None else Path(named)

    def inside(self, folder: Path) -> tuple[Path, ...] | None:
        """The folders that media may be copied from; None is anywhere."""
        if self.allow_outside:
            return None
        return tuple(dict.fromkeys(self.root(modality, folder) for modality in MEDIA_MODALITIES))


class RowError(ValueError):
    """A row that is not in its format; `problems` has everything that is wrong with it."""

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        more = len(self.args) - 1
        return str(self.args[0]) + (f" (and {more} more)" if more else "")


@dataclass(frozen=True)
class Place:
    """One row and how its errors name it: `name` is like ``train.jsonl:12``; `key` arguments are
    like ``messages[2].content[0]``.

    `format` is how the row is read, for its errors. `ignores` are row keys without meaning in that
    format. `sealed`: the row is inside a shard, so its media are too. `lost` collects what the row
    has that its reader has no place for.
    """

    name: str
    folder: Path
    options: ReadOptions = field(default_factory=ReadOptions)
    format: str = ""
    ignores: tuple[str, ...] = ()
    sealed: bool = False
    lost: list[str] = field(default_factory=list, compare=False)

    def error(self, key: str, problem: str) -> RowError:
        """The error to raise for a key of this row ("" is the row itself)."""
        return RowError(f"{self._at(key)}{problem}{self._read_as}")

    def _at(self, key: str) -> str:
        return f"{self.name}: {key + ': ' if key else ''}"

    @property
    def _read_as(self) -> str:
        return f" (read as {self.format})" if self.format else ""

    def rest(self, value: Mapping[Any, Any], key: str, read: Iterable[str]) -> None:
        """Count as lost every key of an object that is neither `read` nor empty. In the row itself
        (`key` is ""), `ignores` do not count.
        """
        known = {*read, *(self.ignores if not key else ())}
        where = re.sub(r"\[\d+\]", "[]", key)
        for name, found in value.items():
            if name not in known and not is_empty(found):
                self.lost.append(f"the key {named(name)}" + (f" of {where}" if where else ""))

    def checked(self, conversation: Conversation) -> Conversation:
        """`conversation` if it breaks no rules (`broken_rules`). Raises `RowError`."""
        problems = broken_rules(conversation)
        if problems:
            raise RowError(*(str(self.error("", problem)) for problem in problems))
        return conversation

    def text(self, value: Any, key: str) -> str:
        """`value` if it is a string that can be written as UTF-8."""
        if not isinstance(value, str):
            raise self.error(key, f"it must be a string, got {shown(value)}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise self.error(key, "half a surrogate pair is no text") from error
        return value

    def object(
        self,
        value: Any,
        key: str,
        *,
        required: Sequence[str],
        optional: Sequence[str] | None = (),
    ) -> dict[str, Any]:
        """`value` if it is an object with all `required` keys and no others but `optional` ones;
        None allows any others.
        """
        allowed = (*required, *(optional or ()))
        if not isinstance(value, dict):
            names = required or allowed
            needed = f"an object with {listed(names)}" if names else "an object is needed"
            raise self.error(key, f"{needed}, got {shown(value)}")
        for name in value if optional is not None else ():
            if name not in allowed:
                raise self.error(key, f"unknown key {named(name)}; {nearest(name, allowed)}")
        for name in required:
            if name not in value:
                raise self.error(key, f"the key {name!r} is missing")
        return value

    def items(self, value: Any, key: str) -> list[Any]:
        """A list, a single value or None as a list: many formats allow all three."""
        if value is None:
            return []
        return list(value) if isinstance(value, (list, tuple)) else [value]

    def turns(self, value: Any, key: str) -> list[Any]:
        """`value` if it is a list with at least one entry."""
        if not isinstance(value, list) or not value:
            raise self.error(key, f"a list of at least one message, got {shown(value)}")
        return value

    def medium(
        self, modality: Modality, value: Any, key: str, *, role: Role, caption: Any = None
    ) -> Media:
        """The part for a row's medium: a path, bytes, a picture, a table's ``{"bytes", "path"}``,
        or None if an assistant's medium has only a caption.

        Raises `RowError`, or `MediaError` for a missing file.
        """
        if caption is not None:
            self.text(caption, f"{key}.caption" if key else "caption")
        known_by_caption = role == "assistant" and caption is not None
        if known_by_caption and (value is None or self.options.captions_only):
            return MEDIA_TYPES[modality](None, caption=caption)
        if isinstance(value, dict) and {"bytes", "path"} & set(value):
            value = value.get("path") if value.get("bytes") is None else value["bytes"]
        if isinstance(value, str) and value.startswith("data:"):
            value = self.decoded(value.partition(",")[2], key)
        if isinstance(value, (bytes, PIL.Image.Image)):
            return MEDIA_TYPES[modality](value, caption=caption)
        if value is None:
            raise self.error(
                key, "it has no path; only an assistant's medium may have a caption alone"
            )
        return MEDIA_TYPES[modality](self._path(modality, value, key), caption=caption)

    def decoded(self, value: Any, key: str) -> bytes:
        """The bytes of a medium that the row holds as base64."""
        try:
            return base64.b64decode(self.text(value, key), validate=True)
        except ValueError as error:
            if isinstance(error, RowError):
                raise
            raise self.error(key, f"{shown(value)} is no base64") from error

    def _path(self, modality: Modality, value: Any, key: str) -> str:
        if not self.text(value, key):
            raise self.error(key, "it is empty; give the path of a file")
        if "://" in value:
            raise self.error(key, f"{shown(value)} is a URL; download it and give the path")
        if self.sealed:
            raise self.error(
                key, f"{shown(value)} names a file, but the media of a shard are inside the shard"
            )
        root = self.options.root(modality, self.folder)
        full = root / value
        if self.options.check_media and not os.path.isfile(full):  # or its name is too long
            advice = f"paths are relative to {root}"
            problem = f"no such media file: {full}; {advice}{self._read_as}"
            raise MediaError(f"{self._at(key)}{problem}")
        return str(full)


def each(read: Callable[[Item, int], Made], items: Iterable[Item]) -> list[Made]:
    """``read(item, index)`` for all items; problems are collected and raised together at the end.

    Raises `RowError` with all problems, or `MediaError` if only media are missing.
    """
    made: list[Made] = []
    wrong: list[str] = []
    missing: MediaError | None = None
    for index, item in enumerate(items):
        try:
            made.append(read(item, index))
        except MediaError as error:
            missing = missing or error
        except RowError as error:
            wrong += error.problems
    if wrong:
        raise RowError(*wrong)
    if missing is not None:
        raise missing
    return made


def shown(value: Any) -> str:
    """A value as JSON, short enough for an error message."""
    if isinstance(value, str):
        value = value[:100]
    try:
        text = json.dumps(value, ensure_ascii=False, default=lambda other: type(other).__name__)
    except RecursionError:
        return "something nested too deeply"
    except (TypeError, ValueError):  # keys that are not strings; numbers too long to write
        return f"a {type(value).__name__} that JSON cannot hold"
    text = text.encode(errors="backslashreplace").decode()  # halves of surrogate pairs
    return text if len(text) <= 60 else text[:57] + "..."


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: None, an empty text or list, a table's NaN."""
    if isinstance(value, float):
        return value != value
    return value is None or (isinstance(value, (str, bytes, list, tuple, dict)) and not value)


def named(key: Any) -> str:
    """A key of a row in quotes, short enough for an error message."""
    text = repr(key)
    return text if len(text) <= 60 else text[:57] + "..."


def listed(names: Iterable[str]) -> str:
    """Names for an error message."""
    return ", ".join(names)
