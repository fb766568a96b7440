"""The row of the paper's Table 6 for any dataset: modalities in and out, media, turns and
instances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from anyweave.data.hub import is_saved
from anyweave.data.records import Records
from anyweave.data.tables import DATA_SUFFIXES
from anyweave.messages import MEDIA_MODALITIES, Conversation, Modality, Role

__all__ = ["DatasetStats", "chosen", "dataset_file", "measure", "measure_file"]

_LETTERS: dict[Modality, str] = {"text": "T", "image": "I", "audio": "A", "video": "V"}
_SIDES: tuple[Role, ...] = ("user", "assistant")
DATASET_FILE = "messages.jsonl"


@dataclass(frozen=True, kw_only=True)
class DatasetStats:
    """What one pass over a dataset counts.

    `media` counts different media (the same file twice is one), `uses` every place a medium stands
    in, by side. A turn is a question and its answer, as in the paper. `combined` names the sides on
    which one conversation holds several kinds of media.
    """

    instances: int
    turns: dict[int, int]
    """Conversations by their number of turns."""
    media: dict[Modality, int]
    uses: dict[Role, dict[Modality, int]]
    text: dict[Role, bool]
    combined: dict[Role, bool]
    lost: Mapping[str, int] = field(default_factory=dict)
    """Of a file: what its rows have and its format has no place for, by number of rows."""

    @property
    def mean_turns(self) -> float:
        """Turns per conversation; 0 for an empty dataset."""
        total = sum(turns * count for turns, count in self.turns.items())
        return total / self.instances if self.instances else 0.0

    def modalities(self, role: Role) -> str:
        """Like ``T+I+A+V``; ``I/A/V`` where no conversation combines the media of this side."""
        seen = [_LETTERS[m] for m in ("image", "audio", "video") if self.uses[role].get(m)]
        media = ("+" if self.combined[role] else "/").join(seen)
        return "+".join(part for part in ("T" if self.text[role] else "", media) if part) or "-"

    @property
    def in_out(self) -> str:
        """The column "In→Out Modality" of Table 6."""
        return f"{self.modalities('user')}→{self.modalities('assistant')}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the row of Table 6 and what it is made of."""
        return {
            "in_out": self.in_out,
            "media": {m: self.media.get(m, 0) for m in MEDIA_MODALITIES},
            "mean_turns": round(self.mean_turns, 2),
            "instances": self.instances,
            "turns": {str(number): self.turns[number] for number in sorted(self.turns)},
            "uses": {
                role: {m: self.uses[role].get(m, 0) for m in MEDIA_MODALITIES} for role in _SIDES
            },
        }


@dataclass
class _Count:
    turns: Counter[int] = field(default_factory=Counter)
    media: dict[Modality, set[object]] = field(default_factory=dict)
    uses: dict[Role, Counter[Modality]] = field(
        default_factory=lambda: {role: Counter() for role in _SIDES}
    )
    text: dict[Role, bool] = field(default_factory=lambda: dict.fromkeys(_SIDES, False))
    combined: dict[Role, bool] = field(default_factory=lambda: dict.fromkeys(_SIDES, False))

    def add(self, conversation: Conversation) -> None:
        self.turns[sum(message.role == "assistant" for message in conversation)] += 1
        kinds: dict[Role, set[Modality]] = {role: set() for role in _SIDES}
        for message in conversation:
            if message.role == "system":
                continue
            self.text[message.role] |= bool(message.text.strip())
            for part in message.media():
                kinds[message.role].add(part.modality)
                self.uses[message.role][part.modality] += 1
                named = isinstance(part.source, (str, Path))
                # What has no file is a medium of its own wherever it stands.
                self.media.setdefault(part.modality, set()).add(
                    str(part.source) if named else object()
                )
        for role, found in kinds.items():
            self.combined[role] |= len(found) > 1


def measure(conversations: Iterable[Conversation]) -> DatasetStats:
    """Count a dataset in one pass; nothing but the names of its media is kept."""
    count = _Count()
    for conversation in conversations:
        count.add(conversation)
    return DatasetStats(
        instances=sum(count.turns.values()),
        turns=dict(count.turns),
        media={modality: len(found) for modality, found in count.media.items()},
        uses={role: dict(uses) for role, uses in count.uses.items()},
        text=count.text,
        combined=count.combined,
    )


def measure_file(path: str | Path, format: str | None = None, **options: Any) -> DatasetStats:
    """Count a data file of any format, or the dataset in a folder, as `Records` reads it. Media
    files need not be there.
    """
    records = Records(dataset_file(path), format, **{**options, "check_media": False})
    lost: Counter[str] = Counter()

    def conversations() -> Iterator[Conversation]:
        for index in range(len(records)):
            read = records.reading(index, warn=False)
            lost.update(read.lost)
            yield read.conversation

    return replace(measure(conversations()), lost=lost)


def chosen(
    path: str | Path, num: int, seed: int = 0, format: str | None = None, **options: Any
) -> list[tuple[int, Conversation]]:
    """`num` random conversations of a data file of any format or of a dataset folder, in its order,
    with their indices. Media files need not be there.
    """
    conversations = Records(dataset_file(path), format, **{**options, "check_media": False})
    size = len(conversations)
    places = np.random.default_rng(seed).choice(size, min(num, size), replace=False)
    return [(int(place), conversations[int(place)]) for place in sorted(places)]


def dataset_file(path: str | Path) -> str | Path:
    """What `path` names: itself, or ``messages.jsonl`` in the folder of a dataset.

    Raises `ValueError` for a folder that holds neither that nor samples.
    """
    folder = Path(path)
    if not folder.is_dir() or is_saved(folder):
        return path
    if (folder / DATASET_FILE).is_file():
        return folder / DATASET_FILE
    if any(file.suffix.lower() in DATA_SUFFIXES for file in folder.iterdir()):
        raise ValueError(f"{path}: this folder has no {DATASET_FILE}; give one of its data files")
    return path  # samples, or an error that says what is known
