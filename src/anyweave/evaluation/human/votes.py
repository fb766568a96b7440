"""Votes of people in one SQLite file. A vote that was answered is on disk, whatever is killed."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ASPECTS", "Vote", "Votes"]

ASPECTS = ("instruction following", "rationality", "quality")
"""What the paper's raters judged, each from 1 to 10."""
_TABLE = """
CREATE TABLE IF NOT EXISTS scores (
  rater TEXT, request TEXT, model TEXT, aspect TEXT, score INTEGER CHECK (score BETWEEN 1 AND 10),
  PRIMARY KEY (rater, request, model, aspect)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS choices (
  rater TEXT, request TEXT, best TEXT, at REAL, PRIMARY KEY (rater, request)) WITHOUT ROWID;
"""


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One rater's verdict on one request's replies: a score per model and aspect, and the best
    model (None: a tie).
    """

    rater: str
    request: str
    scores: Mapping[str, Mapping[str, int]]
    best: str | None


class Votes:
    """The file at `path`, created if missing. Raises `ValueError` for any other file."""

    def __init__(self, path: str | Path) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # The page's server calls from one thread at a time, but not always the same.
        self._base = sqlite3.connect(path, check_same_thread=False)
        try:
            self._base.executescript(f"PRAGMA synchronous = FULL;{_TABLE}")
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise ValueError(f"{path} is no file of votes: {error}") from error

    def close(self) -> None:
        self._base.close()

    def add(self, vote: Vote) -> None:
        """Save a vote, whole or not at all; it replaces the rater's earlier one."""
        rows = [
            (vote.rater, vote.request, model, aspect, score)
            for model, scores in vote.scores.items()
            for aspect, score in scores.items()
        ]
        key = (vote.rater, vote.request)
        with self._base:
            self._base.execute("DELETE FROM scores WHERE rater = ? AND request = ?", key)
            self._base.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?)", rows)
            self._base.execute(
                "INSERT OR REPLACE INTO choices VALUES (?, ?, ?, ?)", (*key, vote.best, time.time())
            )

    def of(self, rater: str) -> dict[str, Vote]:
        """One rater's votes by request."""
        return {vote.request: vote for vote in self.all() if vote.rater == rater}

    def all(self) -> list[Vote]:
        """Every vote."""
        scores: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
        query = "SELECT rater, request, model, aspect, score FROM scores"
        for rater, request, model, aspect, score in self._base.execute(query):
            scores.setdefault((rater, request), {}).setdefault(model, {})[aspect] = score
        choices: Iterable[Sequence[str]] = self._base.execute(
            "SELECT rater, request, best FROM choices ORDER BY rater, request"
        )
        return [
            Vote(rater=rater, request=request, scores=scores[rater, request], best=best)
            for rater, request, best in choices
        ]
