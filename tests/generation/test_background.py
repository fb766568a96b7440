"""Progress comes out while the call runs, and nobody has to wait for a call that is not wanted any
more.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anyweave.generation.background import Report, with_progress


def collect(steps: Iterator[tuple[int, int]]) -> tuple[list[tuple[int, int]], object]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


def test_reports_then_result() -> None:
    def call(report: Report) -> str:
        report(1, 2)
        report(2, 2)
        return "done"

    assert collect(with_progress(call)) == ([(1, 2), (2, 2)], "done")


def test_errors_reach_the_caller() -> None:
    def call(report: Report) -> None:
        report(1, 2)
        raise ValueError("no such size")

    with pytest.raises(ValueError, match="no such size"):
        collect(with_progress(call))


def test_closing_stops_the_call() -> None:
    taken = []

    def call(report: Report) -> None:
        for step in range(10**9):
            taken.append(step)
            report(step, 10**9)

    steps = with_progress(call)
    assert next(steps) == (0, 10**9)
    steps.close()
    count = len(taken)
    assert count < 10**9
    assert len(taken) == count
