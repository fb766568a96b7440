"""Did the reply hold the right kinds of media? Sets of modalities against sets of modalities."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from anyweave.evaluation.metrics.intervals import Proportion


@dataclass(frozen=True)
class Decisions:
    """Counts over replies. A *false draw* is any medium in a reply that should have been words
    alone.
    """

    hits: int = 0
    """Modalities that were wanted and given."""
    extra: int = 0
    """Given, not wanted."""
    missed: int = 0
    """Wanted, not given."""
    exact: int = 0
    """Replies with exactly the wanted modalities."""
    replies: int = 0
    words_only: int = 0
    """Replies that should have been words alone."""
    false_draws: int = 0

    def plus(self, wanted: Set[str], given: Set[str]) -> Decisions:
        """The counts with one more reply."""
        return Decisions(
            hits=self.hits + len(wanted & given),
            extra=self.extra + len(given - wanted),
            missed=self.missed + len(wanted - given),
            exact=self.exact + (wanted == given),
            replies=self.replies + 1,
            words_only=self.words_only + (not wanted),
            false_draws=self.false_draws + (not wanted and bool(given)),
        )

    @property
    def precision(self) -> float | None:
        """Share of the given modalities that were wanted; None where none was given."""
        given = self.hits + self.extra
        return self.hits / given if given else None

    @property
    def recall(self) -> float | None:
        """Share of the wanted modalities that were given; None where none was wanted."""
        wanted = self.hits + self.missed
        return self.hits / wanted if wanted else None

    @property
    def f1(self) -> float | None:
        """``2 hits / (2 hits + extra + missed)``; None where nothing was wanted or given."""
        total = 2 * self.hits + self.extra + self.missed
        return 2 * self.hits / total if total else None

    @property
    def exact_share(self) -> Proportion:
        return Proportion(self.exact, self.replies)

    @property
    def false_draw_share(self) -> Proportion:
        return Proportion(self.false_draws, self.words_only)

    def to_dict(self) -> dict[str, Any]:
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "exact": self.exact_share.to_dict(),
            "false_draws": self.false_draw_share.to_dict(),
            "counts": {"hits": self.hits, "extra": self.extra, "missed": self.missed},
        }
