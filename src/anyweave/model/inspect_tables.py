"""A `ModelReport` as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from anyweave.model.catalogue import PAPER_NOTES
from anyweave.model.inspect import ModelReport, PartInfo, trained_share
from anyweave.model.memory import Memory

_MEMORY_ROWS: tuple[tuple[str, str], ...] = (
    ("frozen: language model", "language_model"),
    ("frozen: everything", "frozen"),
    ("trained, float32", "trained"),
    ("gradients and Adam, float32", "optimizer"),
    ("sum, to reply", "reply"),
    ("on the device at once, to reply", "reply_offloaded"),
    ("sum, to train", "training"),
    ("sum, to train from caches", "training_from_caches"),
)


def render_report(report: ModelReport) -> RenderableType:
    """Parts with parameters and licences, the sums, the memory of the weights, and, for the paper's
    own spec, why the figures differ from Table 1.
    """
    shown: list[RenderableType] = [_parts(report), _sums(report), Text(""), _memory(report.memory)]
    if report.paper_trained_share is not None:
        shown += [Text(f"- {note}") for note in PAPER_NOTES]
    missing = [part.source for part in report.parts if not part.here]
    if missing:
        shown.append(Text(f"\nNot on this machine: {', '.join(missing)}"))
    return Group(*shown)


def render_list(reports: Iterable[ModelReport]) -> RenderableType:
    """One row per spec."""
    table = Table(box=SIMPLE_HEAD, title="specs by name")
    table.add_column("name", no_wrap=True)
    table.add_column("language model", overflow="fold")
    table.add_column("decoders", overflow="fold")
    table.add_column("parameters", justify="right")
    table.add_column("trained", justify="right")
    table.add_column("licences")
    for report in reports:
        decoders = [
            part.title or part.source for part in report.parts if part.part.endswith("decoder")
        ]
        table.add_row(
            report.source,
            report.parts[0].title,
            ", ".join(decoders),
            f"{report.parameters / 1e9:.2f} B",
            f"{100 * trained_share(report.parts):.2f} %",
            _strictest(report),
        )
    return table


def _strictest(report: ModelReport) -> str:
    frozen = [part for part in report.parts if not part.trained]
    if any(part.non_commercial for part in frozen):
        return "non-commercial"
    return "permissive" if all(part.permissive for part in frozen) else "with conditions"


def _parts(report: ModelReport) -> Table:
    paper = report.paper_trained_share is not None
    table = Table(box=SIMPLE_HEAD, title=report.source)
    table.add_column("part")
    table.add_column("what")
    table.add_column("parameters", justify="right", no_wrap=True)
    if paper:
        table.add_column("paper", justify="right", no_wrap=True)
    table.add_column("licence")
    for part in report.parts:
        table.add_row(*_part_cells(part, paper=paper))
    return table


def _part_cells(part: PartInfo, *, paper: bool) -> list[str | Text]:
    count = "not known here" if part.parameters is None else f"{part.parameters:,}"
    licence = Text("" if part.trained else part.licence or "not stated")
    if part.non_commercial:
        licence.append(", non-commercial", style="bold yellow")
    cells: list[str | Text] = [part.part, part.title or part.source, count]
    return [*cells, *([part.paper or ""] if paper else []), licence]


def _sums(report: ModelReport) -> Text:
    trained = sum(part.parameters or 0 for part in report.parts if part.trained)
    share = 100 * trained_share(report.parts)
    said = f" (the paper: {report.paper_trained_share})" if report.paper_trained_share else ""
    return Text(f"  trained: {trained:,} of {report.parameters:,}, {share:.2f} %{said}")


def _memory(rows: Iterable[Memory]) -> Table:
    rows = list(rows)
    table = Table(box=SIMPLE_HEAD, title="memory of the weights, GiB")
    table.add_column("")
    for row in rows:
        table.add_column(row.precision, justify="right")
    for title, name in _MEMORY_ROWS:
        if name == "reply_offloaded" and not any(row.visiting for row in rows):
            continue  # everything is on the device
        table.add_row(title, *(f"{getattr(row, name) / 2**30:.2f}" for row in rows))
    return table
