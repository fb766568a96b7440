"""A user's own data as conversations: a file in any format, or a folder of captioned media."""

from __future__ import annotations

import logging
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anyweave.data.checks import reason_of
from anyweave.data.mixture import Reading, reading, where
from anyweave.data.pairs import PAIRS, Pair, conversation_of
from anyweave.data.place import ReadOptions
from anyweave.data.records import Records, open_data
from anyweave.data.rows import decode_text
from anyweave.data.stats import DATASET_FILE, DatasetStats, measure
from anyweave.data.tables import DATA_SUFFIXES, json_kind, names_shards, open_rows
from anyweave.data.written import write_conversation
from anyweave.media import MediaError
from anyweave.media.sniffing import sniff
from anyweave.messages import MEDIA_TYPES, PAPER_MODALITIES, Conversation, Message
from anyweave_making.collection import Item, modality_by_name, read_collection
from anyweave_making.t2m import TemplateWriter

logger = logging.getLogger(__name__)

_REQUESTS = 3
"""How often a captioned medium is asked for, each time in other words; it is described once."""


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """What was found. `left_out` counts by reason what cannot be used."""

    path: Path
    train: Sequence[Conversation]
    held_out: Sequence[Conversation]
    stats: DatasetStats
    captioned: int = 0
    """Media of a folder or table with captions; 0 where the data are conversations."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    keep: Sequence[Conversation] = ()
    """What the model knew before, at most as many conversations as there are new ones."""
    keep_path: Path | None = None

    @cached_property
    def mixed(self) -> Sequence[Conversation]:
        """What a lesson in talking trains on: the new and the old."""
        return _Joined((self.train, self.keep))

    @cached_property
    def showing(self) -> Sequence[Conversation]:
        """What decoders learn from: conversations in which the assistant shows media, each once.
        Old data count only for the modalities that the new data show.
        """
        return _Joined((_showing(self.train, self.shown), _showing(self.keep, self.shown)))

    @cached_property
    def shown(self) -> set[str]:
        """The modalities that the assistant shows."""
        uses = self.stats.uses["assistant"]
        return {modality for modality, used in uses.items() if used and modality != "text"}

    @cached_property
    def showing_held_out(self) -> Sequence[Conversation]:
        """The same for held-out conversations."""
        return _showing(self.held_out, self.shown)


class _Part(Sequence[Conversation]):
    """Some conversations of a source, read on demand."""

    def __init__(self, source: Any, rows: Sequence[int]) -> None:
        self.source, self.rows = source, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.source[self.rows[index]]

    def length(self, index: int) -> int | None:
        """About how many tokens, if the source tells."""
        tell = getattr(self.source, "length", None)
        return None if tell is None else tell(self.rows[index])

    def where(self, index: int) -> str:
        """File and line, if the source tells."""
        return where(self.source, self.rows[index])

    def reading(self, index: int) -> Reading:
        """A conversation with what was lost of its row."""
        return reading(self.source, self.rows[index])


class _Joined(Sequence[Conversation]):
    """Sources one after the other, read on demand."""

    def __init__(self, parts: Sequence[Sequence[Conversation]]) -> None:
        self.rows = [(part, row) for part in parts for row in range(len(part))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        part, row = self.rows[index]
        return part[row]

    def where(self, index: int) -> str:
        """File and line, if the source tells."""
        return where(*self.rows[index])

    def reading(self, index: int) -> Reading:
        """A conversation with what was lost of its row."""
        return reading(*self.rows[index])


def _showing(source: Sequence[Conversation], modalities: set[str]) -> Sequence[Conversation]:
    """The conversations with assistant media of these modalities alone, no set of media twice."""
    seen: set[tuple[str, ...]] = set()
    rows = []
    for row in range(len(source)):
        said = [message for message in source[row] if message.role == "assistant"]
        shown = [part for message in said for part in message.media() if part.source is not None]
        names = tuple(f"{part.caption}|{part.source}" for part in shown)
        if names and names not in seen and {part.modality for part in shown} <= modalities:
            seen.add(names)
            rows.append(row)
    return _Part(source, rows)


def look_at(
    path: str | Path,
    *,
    keep: str | Path | None = None,
    held_out: float = 0.1,
    format: str | None = None,
    seed: int = 0,
    **options: Any,
) -> OwnData:
    """Read the data and set a share of them aside.

    Args:
        path: a data file in any format, a data set's folder or shards; or captioned media: a folder
            with a table (``path,caption``, or pairs) or with ``name.txt`` beside ``name.png``, or
            such a table. A captioned medium becomes requests in several wordings and one
            description.
        keep: data of the same kinds that the model was trained on before; as many of its
            conversations as there are new ones are mixed in, so that less is forgotten.
        held_out: share that is never trained on. Conversations that share a medium, or say the
            same, stay together.
        format: a file's format by name; None detects it. `options` as for `anyweave.Records`.

    Raises `ValueError` where there is nothing to train on, or nothing could be held out.
    """
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share between 0 and 1, got {held_out:g}; 0.1 is a tenth")
    path = Path(path)
    left_out: Counter[str] = Counter()
    parts, captioned = _divided(path, held_out, format, seed, left_out, options)
    old: Sequence[Conversation] = ()
    if keep is not None:
        old, _ = _divided(Path(keep), 0.0, None, seed, left_out, {})[0]
        old = _Part(old, evenly(len(old), len(parts[0])))
    if not len(parts[0]) or not len(parts[1]):
        told = "".join(f"; left out: {count} {why}" for why, count in left_out.items())
        raise ValueError(
            f"{path} has {len(parts[0]) + len(parts[1])} conversations: too few to train on some "
            f"and hold out {held_out:.0%}; a dozen captioned media is the least that makes sense"
            f"{told}"
        )
    return OwnData(
        path=path,
        train=parts[0],
        held_out=parts[1],
        stats=measure(conversation for part in parts for conversation in part),
        captioned=captioned,
        left_out=dict(left_out),
        keep=old,
        keep_path=None if keep is None else Path(keep),
    )


def evenly(size: int, most: int) -> list[int]:
    """Indices of at most `most` of `size` things, evenly spread."""
    return np.linspace(0, size, min(size, most), endpoint=False).astype(int).tolist()


def _divided(
    path: Path,
    held_out: float,
    format: str | None,
    seed: int,
    left_out: Counter[str],
    options: Mapping[str, Any],
) -> tuple[list[Sequence[Conversation]], int]:
    """Conversations to train on and to hold out, and how many captioned media they come from."""
    items = None if format is not None or options else _items(path, left_out)
    if items is None:
        file = path / DATASET_FILE if (path / DATASET_FILE).is_file() else path
        source = open_data(file, format, **options)
        shared = dict(_shared(source, left_out))
        aside = _set_aside(shared, {row: str(row) for row in shared}, held_out, seed)
        kept = [row for row in shared if row not in aside]
        return [_Part(source, kept), _Part(source, sorted(aside))], 0
    items = list(_by_content(items, left_out))
    found: list[list[Conversation]] = [[], []]
    files = {place: [item.path] for place, item in enumerate(items)}
    names = {place: item.path.name for place, item in enumerate(items)}
    aside = _set_aside(files, names, held_out, seed)
    for place, item in enumerate(items):
        found[place in aside] += _conversations(item, seed)
    return list(found), len(items)


def _shared(source: Records, left_out: Counter[str]) -> Iterator[tuple[int, set[Hashable]]]:
    """Rows, each with what it has in common with others: its media, or else its words. A row whose
    media are missing is left out, as in training.
    """
    for row in range(len(source)):
        try:
            conversation = source[row]
        except MediaError as error:
            left_out[f"conversations: {reason_of(str(error), source.where(row))}"] += 1
            continue
        media = (part.source for message in conversation for part in message.media())
        files: set[Hashable] = {
            hash(file) for file in media if isinstance(file, (str, Path, bytes))
        }
        yield row, files or {hash(write_conversation(conversation))}


def _set_aside(
    shared: Mapping[int, Collection[Hashable]], names: Mapping[int, str], share: float, seed: int
) -> set[int]:
    """A share of the rows, always the same for a seed. Rows with anything in common stay together:
    what was trained on says nothing as held-out data.
    """
    if not share or not shared:
        return set()
    wanted = max(1, round(share * len(shared)))

    def place(rows: Sequence[int]) -> tuple[int, int]:
        return zlib.crc32(f"{seed}|{names[rows[0]]}".encode()), rows[0]

    groups: list[list[int]] = sorted(_together(shared), key=place)
    if len(shared) > 1 and 2 * len(min(groups, key=len)) > len(shared):
        logger.warning(
            "nearly all conversations share a medium or words: held-out ones show what is trained "
            "on, so their loss is too good"
        )
        groups = sorted(([row] for row in shared), key=place)
    aside: set[int] = set()
    for rows in groups:
        if len(aside) + len(rows) <= wanted:
            aside.update(rows)
    smallest: list[int] = min(groups, key=len)
    return aside or set(smallest)


def _together(shared: Mapping[int, Collection[Hashable]]) -> Iterable[list[int]]:
    """Rows in groups: those with anything in common, also by way of others."""
    above = {row: row for row in shared}
    first: dict[Hashable, int] = {}

    def top(row: int) -> int:
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    for row, things in shared.items():
        for thing in things:
            above[top(row)] = top(first.setdefault(thing, row))
    groups: dict[int, list[int]] = defaultdict(list)
    for row in shared:
        groups[top(row)].append(row)
    return groups.values()


def _items(path: Path, left_out: Counter[str]) -> list[Item] | None:
    """The captioned media of a folder or table; None where the data are conversations."""
    if not path.is_dir():
        return read_collection(path) if _names_media(path) else None
    if (path / DATASET_FILE).is_file():
        return None
    files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    media = {file.stem for file in files if modality_by_name(file) in PAPER_MODALITIES}
    # A .json beside a medium of its name is about that medium, as img2dataset writes it.
    tables = [
        file
        for file in files
        if file.suffix.lower() in DATA_SUFFIXES
        and not (file.suffix.lower() == ".json" and file.stem in media)
    ]
    if names_shards(path) and not (len(tables) == 1 and _names_media(tables[0])):
        return None
    if len(tables) > 1:
        named = ", ".join(file.name for file in tables[:4])
        raise ValueError(f"{path} holds several tables ({named}); give the one that is meant")
    if not tables:
        return list(_with_texts(path, left_out))
    items = read_collection(tables[0])
    known = {tables[0].resolve(), *(item.path.resolve() for item in items)}
    if others := sum(file.resolve() not in known for file in _media_in(path, left_out)):
        left_out[f"media that {tables[0].name} does not name"] += others
    return items


def _names_media(path: Path) -> bool:
    """Whether the rows of a data file are media with captions, and no conversations."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return True
    if not path.is_file() or suffix not in (".json", ".jsonl", ".ndjson"):
        return False
    if suffix == ".json" and json_kind(path) == "object":
        return False
    rows = open_rows(path, ReadOptions())
    row = rows.row(0) if len(rows) else None
    return isinstance(row, dict) and ({"path", "caption"} <= row.keys() or _is_pair(row))


def _is_pair(row: Mapping[str, Any]) -> bool:
    inside = any(isinstance(value, (bytes, dict)) for value in row.values())
    return bool(PAIRS.recognises(row)) and not inside


def _media_in(folder: Path, left_out: Counter[str]) -> Iterator[Path]:
    """The media files in a folder and the folders below it. Those whose names begin with a dot are
    not meant: systems and editors put them there.
    """
    for file in sorted(folder.rglob("*")):
        if file.is_symlink() and not file.is_file():
            why = "links to folders or to nothing (give the folder itself)"
            left_out[why] += 1
        elif file.is_file() and not file.name.startswith(".") and modality_by_name(file):
            yield file


def _with_texts(folder: Path, left_out: Counter[str]) -> Iterator[Item]:
    """Media files with a text file of the same name beside them."""
    for file in _media_in(folder, left_out):
        modality, text = modality_by_name(file), file.with_suffix(".txt")
        caption = decode_text(text.read_bytes(), str(text)).strip() if text.is_file() else ""
        if caption and modality is not None:
            yield Item(modality=modality, path=file, caption=caption, root=folder)
        else:
            left_out["media without a caption (NAME.txt beside NAME.png says what it shows)"] += 1


def _by_content(items: Iterable[Item], left_out: Counter[str]) -> Iterator[Item]:
    """The items as what their files hold, whatever their names promise: an animated GIF or WebP is
    a clip. Files that are no media are left out.
    """
    for item in items:
        if item.modality not in PAPER_MODALITIES:
            yield item
            continue
        try:
            held = sniff(item.path)
        except MediaError as error:
            logger.warning("left out: %s", error)
            left_out[f"media: {reason_of(str(error), str(item.path))}"] += 1
            continue
        # A film's soundtrack may be meant.
        yield item if item.modality == "audio" else replace(item, modality=held)


def _conversations(item: Item, seed: int) -> list[Conversation]:
    """A captioned medium asked for in several ways, and described."""
    writer = TemplateWriter()
    key = zlib.crc32(str(item.path.name).encode())
    asked = [writer.write(item, (seed, key, n)).conversation(item) for n in range(_REQUESTS)]
    medium = MEDIA_TYPES[item.modality](item.path)
    return [*asked, conversation_of(Pair(medium, item.caption), "describe")]


def requests(
    data: OwnData, number: int, usable: Callable[[Conversation], bool] = lambda _: True
) -> list[tuple[Message, Message]]:
    """Held-out first turns with the data's own answers: of as many kinds as there are, no medium
    twice, and only `usable` ones.
    """
    kinds: dict[tuple[str, ...], list[tuple[Message, Message]]] = {}
    seen: set[tuple[str, ...]] = set()
    for conversation in data.held_out:
        spoken = [message for message in conversation if message.role != "system"]
        if len(spoken) < 2 or spoken[0].role != "user":
            continue
        media = [part for message in spoken[:2] for part in message.media()]
        kind = tuple(
            f"{message.role} {part.modality}" for message in spoken[:2] for part in message.media()
        )
        shown = (*(str(part.caption) for part in media), *(str(part.source) for part in media))
        if shown and shown in seen:
            continue
        seen.add(shown)
        kinds.setdefault(kind, []).append((spoken[0], spoken[1]))
    chosen: list[tuple[Message, Message]] = []
    while len(chosen) < number and any(kinds.values()):
        for rows in kinds.values():
            if rows and len(chosen) < number:
                question, answer = rows.pop(0)
                if usable([question, answer]):
                    chosen.append((question, answer))
    return chosen
