"""What a benchmark is: records, what is asked, how an answer is read, which metrics.

A `Task` is a value. `run.run_task` asks a `Speaker` (one of our models, or anything else that
answers messages), keeps the answers and scores them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from anyweave.evaluation.metrics import Ratio
from anyweave.messages import Media, Message, Modality


@dataclass(frozen=True, kw_only=True)
class Record:
    """One thing to ask. `key` is unique in its task and stays the same between runs."""

    key: str
    ask: tuple[Message, ...]
    """A conversation that ends with the user's turn to be answered."""
    references: tuple[str, ...] = ()
    """Right answers in words; captions of what is to be made."""
    real: Media | None = None
    """The medium that the generated one is compared with."""
    source: Media | None = None
    """A medium to be edited."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else the metrics need."""

    def media(self) -> list[Media]:
        """All media that must exist."""
        shown = [part for message in self.ask for part in message.media()]
        return shown + [part for part in (self.real, self.source) if part is not None]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A record with its answer: `text` as the task reads it, and the media that were made."""

    record: Record
    text: str
    media: tuple[Media, ...] = ()


Score = float | Ratio
"""A value of a whole set, or a mean over records, which has an interval."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A pure function of answers, and what must be said beside its value."""

    name: str
    protocol: str
    score: Callable[..., Score]
    """``score(answers, *backbones)``; raises `ValueError` rather than give a wrong number."""
    backbones: tuple[str, ...] = ()
    """Kinds of `metrics.backbones.KINDS` that `score` takes, in this order."""
    packages: tuple[str, ...] = ()
    java: bool = False
    needs: Callable[[], str | None] = lambda: None
    """Says what else is missing, if anything is."""
    scale: float = 1.0
    lower_is_better: bool = False

    def missing(self, backbones: Iterable[str]) -> str | None:
        """Why it cannot be computed here; known before anything is asked."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                return f"needs {package}: pip install 'anyweave[eval]'"
        if self.java and shutil.which("java") is None:
            return "needs Java: no java on the PATH"
        for kind in self.backbones:
            if kind not in backbones:
                return f"no backbone given: --backbone {kind}=FILE"
        return self.needs()


@dataclass(frozen=True, kw_only=True)
class Task:
    """`records` reads the data set's folder as its owners publish it (`layout` names the files) and
    raises `ValueError` naming a missing file.
    """

    title: str
    layout: str
    records: Callable[[Path], Sequence[Record]]
    metrics: tuple[Metric, ...]
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """The paper's figures: metric -> table -> value."""
    folder: str
    """The data set's folder name inside the folder of all data sets."""
    makes: Modality | None = None
    """The medium that every answer must hold; None is words alone."""
    reads: tuple[Modality, ...] = ()
    """Media that the user shows."""
    max_new_tokens: int = 32
    read: Callable[[str, Record], str] = lambda text, record: text.strip()
    note: str = ""
    """What a comparison with the paper must not hide."""


class Speaker(Protocol):
    """Who is asked. Answers come in the order of the records; an answer is a message, or the
    `ValueError` that says why there is none.
    """

    name: str
    weights: str  # their hash: another one means other answers
    reads: frozenset[Modality]
    makes: frozenset[Modality]

    def answer(
        self, task: Task, records: Iterable[tuple[int, Record]]
    ) -> Iterator[Message | ValueError]: ...


def first_file(folder: Path, *names: str) -> str:
    """The first of `names` in `folder` that is a file; the first name if none is."""
    found = (name for name in names if os.path.isfile(folder / name))
    return str(folder / next(found, names[0]))


def needed_file(folder: Path, *names: str) -> Path:
    """As `first_file`; raises `ValueError` where none is there."""
    path = Path(first_file(folder, *names))
    if not path.is_file():
        raise ValueError(
            f"{path} is not there" + f" (nor {', '.join(names[1:])})" * bool(names[1:])
        )
    return path
