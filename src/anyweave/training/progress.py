"""The progress bar: steps, losses per term, samples/s and tokens/s."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def training_bar(
    total: int, done: int, enabled: bool
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives a function that shows a run's latest record on standard error; silent if that is not a
    terminal.
    """
    console = Console(stderr=True)
    columns = BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn()
    state = TextColumn("{task.fields[state]}")
    hidden = not enabled or not console.is_terminal
    with Progress("training", *columns, state, console=console, disable=hidden) as bar:
        task = bar.add_task("training", total=total, completed=done, state="")

        def show(record: Mapping[str, Any]) -> None:
            seconds = max(record["seconds"], 1e-9)
            said = [f"{name} {value:.3f}" for name, value in record["losses"].items()]
            said += [f" {record[name] / seconds:.1f} {name}/s" for name in ("samples", "tokens")]
            bar.update(task, completed=record["step"], state=" ".join(said))

        yield show
