"""What happened in a demonstration, as plain data: the page, the picture and the JSON are drawn
from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from anyweave.messages import Modality


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One part of a message: text, or a medium as a `path` relative to the demonstration's folder.

    `caption` is what the model says its medium shows. `truth` is what a user's medium really shows;
    the model never sees it. `poster` is a still picture of a sound or a clip.
    """

    modality: Modality
    text: str = ""
    path: str = ""
    poster: str = ""
    caption: str = ""
    truth: str = ""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A user's message and the model's reply."""

    user: tuple[Shown, ...]
    reply: tuple[Shown, ...]
    seconds: Mapping[str, float]
    """Wall-clock seconds per modality; "text" is reading the message and speaking."""
    tokens: int
    finish_reason: str

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class Talk:
    """One conversation."""

    title: str
    figures: str
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    """The whole demonstration. Times are this machine's, with `threads` CPU threads."""

    model: str
    seed: int
    threads: int
    load_seconds: float
    talks: tuple[Talk, ...]

    @property
    def total_seconds(self) -> float:
        return sum(e.total_seconds for talk in self.talks for e in talk.exchanges)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; parts omit their empty fields."""
        plain = asdict(self)
        for talk in plain["talks"]:
            for exchange in talk["exchanges"]:
                for side in ("user", "reply"):
                    exchange[side] = [
                        {name: value for name, value in part.items() if value}
                        for part in exchange[side]
                    ]
        return plain
