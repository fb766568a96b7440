"""A user's own data as conversations: a file in any format, or a folder of captioned media."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anyweave.data.pairs import Pair, conversation_of
from anyweave.data.records import open_data
from anyweave.data.stats import DATASET_FILE, DatasetStats, measure
from anyweave.data.tables import DATA_SUFFIXES, names_shards
from anyweave.messages import MEDIA_TYPES, Conversation, Message
from anyweave_making.collection import Item, modality_by_name, read_collection
from anyweave_making.t2m import TemplateWriter

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


class _Joined(Sequence[Conversation]):
    """Sources one after the other, read on demand."""

    def __init__(self, parts: Sequence[Sequence[Conversation]]) -> None:
        self.rows = [(part, row) for part in parts for row in range(len(part))]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        part, row = self.rows[index]
        return part[row]


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
            with a table (``path,caption``) or with ``name.txt`` beside ``name.png``, or such a
            table. A captioned medium becomes requests in several wordings and one description.
        keep: data of the same kinds that the model was trained on before; as many of its
            conversations as there are new ones are mixed in, so that less is forgotten.
        held_out: share that is never trained on. A medium's conversations stay together.
        format: a file's format by name; None detects it. `options` as for `anyweave.Records`.

    Raises `ValueError` where there is nothing to train on, or nothing could be held out.
    """
    path = Path(path)
    left_out: Counter[str] = Counter()
    parts, captioned = _divided(path, held_out, format, seed, left_out, options)
    old: Sequence[Conversation] = ()
    if keep is not None:
        old, _ = _divided(Path(keep), 0.0, None, seed, left_out, {})[0]
        old = _Part(old, evenly(len(old), len(parts[0])))
    if not len(parts[0]) or not len(parts[1]):
        raise ValueError(
            f"{path} has {len(parts[0]) + len(parts[1])} conversations: too few to train on some "
            f"and hold out {held_out:.0%}; a dozen captioned media is the least that makes sense"
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
    items = _items(path, left_out) if format is None else None
    if items is None:
        file = path / DATASET_FILE if (path / DATASET_FILE).is_file() else path
        source = open_data(file, format, **options)
        aside = _set_aside(list(map(str, range(len(source)))), held_out, seed)
        kept = [index for index in range(len(source)) if index not in aside]
        return [_Part(source, kept), _Part(source, sorted(aside))], 0
    found: list[list[Conversation]] = [[], []]
    aside = _set_aside([item.path.name for item in items], held_out, seed)
    for place, item in enumerate(items):
        found[place in aside] += _conversations(item, seed)
    return list(found), len(items)


def _set_aside(names: Sequence[str], share: float, seed: int) -> set[int]:
    """The indices of a share of the names, at least one: always the same for a seed."""
    order = sorted(range(len(names)), key=lambda n: (zlib.crc32(f"{seed}|{names[n]}".encode()), n))
    return set(order[: max(1, round(share * len(names))) if share else 0])


def _items(path: Path, left_out: Counter[str]) -> list[Item] | None:
    """The captioned media of a folder or table; None where the data are conversations."""
    if path.is_dir():
        if (path / DATASET_FILE).is_file() or names_shards(path):
            return None
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in DATA_SUFFIXES)
        if len(tables) > 1:
            named = ", ".join(file.name for file in tables[:4])
            raise ValueError(f"{path} holds several tables ({named}); give the one that is meant")
        return _of_table(tables[0]) if tables else list(_with_texts(path, left_out))
    return _of_table(path) if path.suffix.lower() in (".csv", ".tsv") else None


def _of_table(path: Path) -> list[Item]:
    return read_collection(path)


def _with_texts(folder: Path, left_out: Counter[str]) -> Iterator[Item]:
    """Media files with a text file of the same name beside them."""
    for file in sorted(folder.rglob("*")):
        modality = modality_by_name(file)
        if modality is None or not file.is_file():
            continue
        text = file.with_suffix(".txt")
        caption = text.read_text("utf-8").strip() if text.is_file() else ""
        if caption:
            yield Item(modality=modality, path=file, caption=caption, root=folder)
        else:
            left_out["media without a caption (NAME.txt beside NAME.png says what it shows)"] += 1


def _conversations(item: Item, seed: int) -> list[Conversation]:
    """A captioned medium asked for in several ways, and described."""
    writer = TemplateWriter()
    key = zlib.crc32(str(item.path.name).encode())
    asked = [writer.write(item, (seed, key, n)).conversation(item) for n in range(_REQUESTS)]
    medium = MEDIA_TYPES[item.modality](item.path)
    return [*asked, conversation_of(Pair(medium, item.caption), "describe")]


def requests(data: OwnData, number: int) -> list[tuple[Message, Message]]:
    """Held-out first turns with the data's own answers: of as many kinds as there are, no medium
    twice.
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
                chosen.append(rows.pop(0))
    return chosen
