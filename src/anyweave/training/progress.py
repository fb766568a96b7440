"""The progress bar: steps, losses per term, samples/s and tokens/s."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class ProgressBar:
    """Shows the latest record of a run on the terminal's error stream; silent where that is no
    terminal.
    """

    def __init__(self, total: int, done: int, enabled: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
            disable=not enabled or not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=total, completed=done, state="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, record: Mapping[str, Any]) -> None:
        """Advance to the record's step."""
        seconds = max(record["seconds"], 1e-9)
        losses = " ".join(f"{name} {value:.3f}" for name, value in record["losses"].items())
        speed = (
            f"{record['samples'] / seconds:.1f} samples/s {record['tokens'] / seconds:.0f} tokens/s"
        )
        self._bar.update(self._task, completed=record["step"], state=f"{losses}  {speed}")
