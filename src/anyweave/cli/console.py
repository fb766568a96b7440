"""Printing for the commands: replies to standard output, progress to standard error.

All output passes through here, so that untrusted text (captions, file names, errors about them,
model output) cannot control the terminal: see `printable`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import MofNCompleteColumn, Progress
from rich.segment import Segment
from rich.status import Status

# C0 except tab and line feed, delete and C1; line separators and bidirectional marks; lone
# surrogates, which cannot be encoded.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Text with control characters spelled out, like ``\\u001b``: terminal escape sequences are
    shown, not executed.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _PlainConsole(Console):
    """A console that applies its own styles but no control characters in text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else printable(segment.text)
            yield Segment(text, segment.style, segment.control)


out = _PlainConsole()
err = _PlainConsole(stderr=True)


def print_plain(text: str, *, end: str = "\n", to: Console = out) -> None:
    """Print text verbatim: model output is not markup."""
    to.print(text, end=end, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print JSON for programs, without escaping non-ASCII letters."""
    typer.echo(printable(json.dumps(value, indent=1, ensure_ascii=False)))


def status_line() -> Callable[[str | None], None]:
    """A line with a spinner: shows the text it is called with, and disappears on None."""
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
    """A bar on standard error; gives a function that takes the number done and the total."""
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
