"""A reply's ids as runs of text ids and signal runs, in the order they were spoken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anyweave.messages import Modality
from anyweave.processing.signals import SignalTokens


@dataclass(frozen=True)
class SignalRun:
    """A complete run of signal ids in a reply; `start` is its place in the ids that were split."""

    modality: Modality
    start: int
    token_ids: tuple[int, ...]


def split_reply(
    ids: Sequence[int], signals: SignalTokens, stops: Sequence[tuple[int, ...]]
) -> list[list[int] | SignalRun]:
    """Split at signal runs; ends before the first run of ids that is one of `stops`.

    Raises:
        ValueError: a signal run that is broken or incomplete, or an id that cannot be spoken.
    """
    pieces: list[list[int] | SignalRun] = []
    text: list[int] = []
    spoken = [int(i) for i in ids]
    position = 0
    while position < len(spoken) and not _ends_here(spoken, position, stops):
        modality = signals.modality_of(spoken[position])
        if modality is None:
            _check_speakable(spoken[position], position, signals)
            if not text:
                pieces.append(text)
            text.append(spoken[position])
            position += 1
            continue
        run = signals.ids(modality)
        found = tuple(spoken[position : position + len(run)])
        if found != run:
            raise ValueError(
                f"broken {modality} run at position {position}: expected ids {run[0]}..{run[-1]} "
                f"in order, got {list(found)}"
            )
        pieces.append(SignalRun(modality, position, run))
        text = []
        position += len(run)
    return pieces


def _ends_here(spoken: list[int], position: int, stops: Sequence[tuple[int, ...]]) -> bool:
    return any(tuple(spoken[position : position + len(stop)]) == stop for stop in stops)


def _check_speakable(token: int, position: int, signals: SignalTokens) -> None:
    if not 0 <= token < signals.base_vocab:
        last = signals.base_vocab + signals.total - 1
        raise ValueError(f"id {token} at position {position} cannot be spoken: ids go up to {last}")
