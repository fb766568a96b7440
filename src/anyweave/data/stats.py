"""The row of the paper's Table 6 for any dataset: modalities in and out, media, turns and
instances.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from anyweave.data.hub import is_saved
from anyweave.data.records import Records
from anyweave.data.tables import DATA_SUFFIXES
from anyweave.messages import (
    MEDIA_MODALITIES,
    PAPER_MODALITIES,
    Conversation,
    Modality,
    Role,
    kind_of,
)

__all__ = ["DatasetStats", "chosen", "dataset_file", "measure", "measure_file"]

_SIDES: tuple[Role, ...] = ("user", "assistant")
DATASET_FILE = "messages.jsonl"


@dataclass(kw_only=True)
class DatasetStats:
    """Counts from one pass over a dataset; only the names of its media are kept.

    A turn is a question and its answer, as in the paper. `combined` names the sides on which one
    conversation holds several kinds of media.
    """

    turns: Counter[int] = field(default_factory=Counter)
    """Conversations by their number of turns."""
    uses: dict[Role, Counter[Modality]] = field(
        default_factory=lambda: {role: Counter() for role in _SIDES}
    )
    """Every occurrence of a medium, by side."""
    text: dict[Role, bool] = field(default_factory=lambda: dict.fromkeys(_SIDES, False))
    combined: dict[Role, bool] = field(default_factory=lambda: dict.fromkeys(_SIDES, False))
    lost: Counter[str] = field(default_factory=Counter)
    """For a file: what its format has no place for, by number of rows."""
    _seen: set[tuple[Modality, object]] = field(default_factory=set)

    def add(self, conversation: Conversation) -> None:
        """Count one more conversation."""
        self.turns[sum(message.role == "assistant" for message in conversation)] += 1
        kinds: dict[Role, set[Modality]] = {role: set() for role in _SIDES}
        for message in conversation:
            if message.role == "system":
                continue
            self.text[message.role] |= bool(message.text.strip())
            for part in message.media():
                kinds[message.role].add(part.modality)
                self.uses[message.role][part.modality] += 1
                # Without a file, every occurrence is a medium of its own.
                named = isinstance(part.source, (str, Path))
                self._seen.add((part.modality, str(part.source) if named else object()))
        for role, found in kinds.items():
            self.combined[role] |= len(found) > 1

    @property
    def instances(self) -> int:
        """The number of conversations."""
        return self.turns.total()

    @property
    def media(self) -> Counter[Modality]:
        """Distinct media: the same file twice counts once."""
        return Counter(modality for modality, _ in self._seen)

    @property
    def mean_turns(self) -> float:
        """Turns per conversation; 0 for an empty dataset."""
        total = sum(turns * count for turns, count in self.turns.items())
        return total / self.instances if self.instances else 0.0

    def modalities(self, role: Role) -> str:
        """Like ``T+I+A+V``; ``I/A/V`` where no conversation combines the media of this side."""
        others = MEDIA_MODALITIES[len(PAPER_MODALITIES) :]
        order = ("image", "audio", "video", *others)
        seen = [kind_of(m).letter for m in order if self.uses[role][m]]
        media = ("+" if self.combined[role] else "/").join(seen)
        return "+".join(part for part in ("T" if self.text[role] else "", media) if part) or "-"

    @property
    def in_out(self) -> str:
        """The column "In→Out Modality" of Table 6."""
        return f"{self.modalities('user')}→{self.modalities('assistant')}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON: the row of Table 6 and the counts behind it."""
        # The paper's kinds, and any others that occur.
        kinds = [m for m in MEDIA_MODALITIES if m in PAPER_MODALITIES or self.media[m]]
        return {
            "in_out": self.in_out,
            "media": {m: self.media[m] for m in kinds},
            "mean_turns": round(self.mean_turns, 2),
            "instances": self.instances,
            "turns": {str(number): self.turns[number] for number in sorted(self.turns)},
            "uses": {role: {m: self.uses[role][m] for m in kinds} for role in _SIDES},
        }


def measure(conversations: Iterable[Conversation]) -> DatasetStats:
    """Count a dataset in one pass."""
    stats = DatasetStats()
    for conversation in conversations:
        stats.add(conversation)
    return stats


def measure_file(path: str | Path, format: str | None = None, **options: Any) -> DatasetStats:
    """Count a data file of any format, or the dataset in a folder, as `Records` reads it. Media
    files need not exist.
    """
    records = Records(dataset_file(path), format, **{**options, "check_media": False})
    stats = DatasetStats()
    for index in range(len(records)):
        read = records.reading(index, warn=False)
        stats.lost.update(read.lost)
        stats.add(read.conversation)
    return stats


def chosen(
    path: str | Path, num: int, seed: int = 0, format: str | None = None, **options: Any
) -> list[tuple[int, Conversation]]:
    """`num` random conversations of a data file of any format or of a dataset folder, in file
    order, with their indices. Media files need not exist.
    """
    conversations = Records(dataset_file(path), format, **{**options, "check_media": False})
    size = len(conversations)
    places = np.random.default_rng(seed).choice(size, min(num, size), replace=False)
    return [(int(place), conversations[int(place)]) for place in sorted(places)]


def dataset_file(path: str | Path) -> str | Path:
    """What `path` names: itself, or ``messages.jsonl`` in the folder of a dataset.

    Raises `ValueError` for a folder without that file that holds other data files.
    """
    folder = Path(path)
    if not folder.is_dir() or is_saved(folder):
        return path
    if (folder / DATASET_FILE).is_file():
        return folder / DATASET_FILE
    if any(file.suffix.lower() in DATA_SUFFIXES for file in folder.iterdir()):
        raise ValueError(f"{path}: this folder has no {DATASET_FILE}; give one of its data files")
    return path  # samples; otherwise opening it says what is supported
