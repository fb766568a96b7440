"""What the commands print, and where: replies to standard output, progress to standard error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress
from rich.status import Status

out = Console()
err = Console(stderr=True)


def print_plain(text: str, *, end: str = "\n", to: Console = out) -> None:
    """Print text as it is: what a model says is no markup."""
    to.print(text, end=end, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print for programs: letters of every script as they are."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def status_line() -> Callable[[str | None], None]:
    """A line with a spinner: called with a text it shows that, with none it goes away."""
    shown = Status("", console=out)

    def show(text: str | None) -> None:
        if text is None:
            shown.stop()
        else:
            shown.update(text)
            shown.start()

    return show


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error that is told how many are done, and of how many."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
