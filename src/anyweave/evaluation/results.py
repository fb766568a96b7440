"""What was measured, cell by cell, and the page that collects it: published, ours, difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anyweave.evaluation.task import Task
from anyweave.files import read_object, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric of one task with all that belongs to it. Either `value` or `reason` is None."""

    task: str
    title: str
    metric: str
    model: str
    seed: int
    value: float | None
    interval: tuple[float, float] | None
    reason: str | None
    n: int
    """Records that were answered and scored."""
    of: int
    """Records that the data set has."""
    failed: int
    """Records that could not be asked or gave no medium; `failures` says why for the first few."""
    failures: tuple[str, ...]
    protocol: str
    backbones: Mapping[str, Mapping[str, str]]
    preprocessing: str
    usual: bool
    """Whether the backbones are those that figures of this name usually use."""
    published: Mapping[str, float]
    """The paper's value by table."""
    note: str
    lower_is_better: bool

    def rows(self) -> list[str]:
        """Rows of the page: one for each table that has it."""
        used = ", ".join(f"{b['name']} {b['sha256'][:8]}" for b in self.backbones.values())
        name = self.metric + (f" with {used}" if used else "") + (" ↓" * self.lower_is_better)
        ours, n = self.reason or f"{self.value:.4g}", f"{self.n:,} of {self.of:,}"
        if self.interval is not None:
            ours += f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]"
        n += f", {self.failed:,} failed" * bool(self.failed)
        rows = []
        tables: dict[str, float | None] = {**self.published} or {"": None}
        for table, published in tables.items():
            difference = ""
            if published is not None and self.value is not None:
                difference = f"{self.value - published:+.4g}"
                difference += " (not all records)" * (self.n < self.of)
                difference += " (another backbone)" * (not self.usual)
            said = "" if published is None else f"{published:g}"
            row = (table, self.task, name, said, ours, difference, n)
            rows.append("| " + " | ".join(item.replace("|", "\\|") for item in row) + " |")
        return rows


_HEAD = [
    "| table | task | metric | published | ours | difference | n |",
    "|---|---|---|---|---|---|---|",
]


def write_result(out: Path, name: str, task: Task, cells: list[Cell]) -> list[Cell]:
    """Write ``result.json`` and ``result.md`` in the task's folder; returns the cells."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "result.json", {"task": name, "cells": [asdict(cell) for cell in cells]})
    write_text(out / "result.md", to_markdown(cells))
    return cells


def to_markdown(cells: Sequence[Cell]) -> str:
    """The table, then how each metric was computed."""
    lines = [*_HEAD, *(row for cell in cells for row in cell.rows()), ""]
    for cell in cells:
        if cell.value is not None:
            more = f" Media: {cell.preprocessing}." if cell.preprocessing else ""
            lines.append(f"- {cell.task}, {cell.metric}: {cell.protocol}, seed {cell.seed}.{more}")
    notes = dict.fromkeys(f"- {cell.task}: {cell.note}" for cell in cells if cell.note)
    failures = dict.fromkeys(f"- {c.task}: {failure}" for c in cells for failure in c.failures)
    lines += ["", *notes]
    if failures:
        lines += ["", "Records without an answer, the first of each task:", "", *failures]
    return "\n".join(lines) + "\n"


def gather(folder: Path) -> list[Cell]:
    """The cells of all results in `folder`. Raises `ValueError` where there is none."""
    found = sorted(folder.glob("*/result.json"))
    if not found:
        raise ValueError(f"{folder}: no result there; anyweave eval all --out {folder} makes some")
    return [_cell(row) for path in found for row in read_object(path)["cells"]]


def _cell(row: dict[str, Any]) -> Cell:
    interval = None if row["interval"] is None else tuple(row["interval"])
    return Cell(**{**row, "interval": interval, "failures": tuple(row["failures"])})


def write_report(folder: Path) -> list[Cell]:
    """Write ``report.md``, ``report.json`` and, for figures also published, ``report.png``."""
    cells = gather(folder)
    models = ", ".join(dict.fromkeys(cell.model for cell in cells))
    pairs = [(f"{c.task} {c.metric} (T{t})", c.value / p) for c in cells if c.value is not None
             for t, p in c.published.items()]  # fmt: skip
    picture = "![ours as a share of published](report.png)\n\n" if pairs else ""
    write_json(folder / "report.json", [asdict(cell) for cell in cells])
    write_text(folder / "report.md", f"# The paper's tables: {models}\n\n{picture}"
               f"{to_markdown(cells)}")  # fmt: skip
    if pairs:
        _plot(pairs, folder / "report.png")
    return cells


def _plot(pairs: Sequence[tuple[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure  # an extra

    figure = Figure(figsize=(7, 1 + 0.3 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([name for name, _ in pairs], [share for _, share in pairs])
    axes.axvline(1.0, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("ours as a share of published")
    figure.savefig(path)
