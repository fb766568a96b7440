"""Find what is wrong with each record of a data set by reading its row and all its media.

Several processes share the records; each decodes in a child. A medium that crashes its decoder
(they are C) is one more problem.
"""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from anyweave import media
from anyweave.data.place import RowError
from anyweave.data.records import Records
from anyweave.media import Limits, MediaError, isolation
from anyweave.messages import MEDIA_TYPES, Conversation, Media, Modality, silent_replies

Found = tuple[int, list["Problem"], tuple[str, ...]]
"""The number of media in a record, its problems, and what of it is not read."""
_CHUNK = 32  # records a process takes at a time


@dataclass(frozen=True)
class Problem:
    """One problem. `place` is like ``train.jsonl:12``; `record` counts from 0, None means the whole
    file; `reason` is the same for all problems of one kind.
    """

    place: str
    record: int | None
    reason: str
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with file and line separated."""
        found = re.fullmatch(r"(.+?):(\d+)", self.place)
        file, line = (found[1], int(found[2])) if found else (self.place, None)
        return {
            "file": file,
            "line": line,
            "record": self.record,
            "reason": self.reason,
            "problem": self.problem,
        }


def reason_of(problem: str, *prefixes: str) -> str:
    """A problem without what varies from case to case: places, names, numbers and advice."""
    for prefix in prefixes:
        problem = problem.removeprefix(f"{prefix}: ")
    problem = re.sub(r"^[\w\[\].]+: ", "", problem)  # the key in the row
    problem = re.split(r"; |: |, got | \(", problem, maxsplit=1)[0]
    problem = re.sub(r"""(?<!\w)(["']).*?\1""", "...", problem)
    return re.sub(r"(?<![\w-])\d[\d,.]*", "N", problem)


def problem_of(place: str, record: int | None, text: str) -> Problem:
    """A problem from its text, which may omit the place."""
    if not text.startswith(place):
        text = f"{place}: {text}"
    return Problem(place, record, reason_of(text, place), text)


def check_records(
    records: Records, limits: Limits, workers: int
) -> Iterator[tuple[range, list[Found]]]:
    """The records in chunks, with what was found in each.

    `workers`: number of reader processes; 0 reads in this one. Raises `ValueError` if one was
    killed.
    """
    chunks = [
        range(start, min(start + _CHUNK, len(records))) for start in range(0, len(records), _CHUNK)
    ]
    if workers == 0:
        for chunk in chunks:
            yield chunk, _check_chunk(records, limits, chunk)
        return
    with ProcessPoolExecutor(
        max(1, min(workers, len(chunks))),
        mp_context=multiprocessing.get_context("spawn"),  # decoders have threads, which forks break
        initializer=_prepare,
        initargs=(records, limits),
    ) as pool:
        try:
            yield from zip(chunks, pool.map(_check_here, chunks), strict=True)
        except BrokenProcessPool as error:
            raise ValueError(
                "a process that reads was killed, perhaps for its memory; try fewer --workers"
            ) from error


_here: dict[str, Any] = {}  # what this worker process checks


def _prepare(records: Records, limits: Limits) -> None:
    _here.update(records=records, limits=limits)
    isolation.isolate()  # a medium that kills its decoder is one more problem


def _check_here(chunk: range) -> list[Found]:
    return _check_chunk(_here["records"], _here["limits"], chunk)


def _check_chunk(records: Records, limits: Limits, chunk: range) -> list[Found]:
    return [_check(records, index, limits) for index in chunk]


def _check(records: Records, index: int, limits: Limits) -> Found:
    place = records.rows.place(index)
    try:
        read = records.reading(index, warn=False)
    except RowError as error:
        return 0, [problem_of(place, index, text) for text in error.problems], ()
    except ValueError as error:
        return 0, [problem_of(place, index, str(error))], ()
    conversation: Conversation = read.conversation
    problems = []
    parts = [part for message in conversation for part in message.media()]
    for part in parts:
        text = None if part.source is None else _wrong_with(part, limits)
        if text is not None:
            reason = reason_of(text, part.name)
            problems.append(Problem(place, index, reason, f"{place}: {text}"))
    problems += [problem_of(place, index, text) for text in silent_replies(conversation)]
    return len(parts), problems, read.lost


def _wrong_with(part: Media, limits: Limits) -> str | None:
    if isinstance(part.source, str):
        return _wrong_with_file(part.modality, part.source, limits)
    try:
        media.load(part, limits=limits)
    except MediaError as error:
        return str(error)
    return None


@lru_cache(maxsize=4096)  # captions of the same picture are adjacent
def _wrong_with_file(modality: Modality, path: str, limits: Limits) -> str | None:
    return _wrong_with(MEDIA_TYPES[modality](Path(path)), limits)
