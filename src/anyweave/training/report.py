"""The run folder's record: ``log.jsonl`` (one line per step), ``summary.json`` and plots."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from anyweave.files import whole_file, write_json, write_text

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What a run did. `losses` are the last step's terms; `skipped` counts skipped items, by
    problem; `cut` counts what `data.max_length` truncated.
    """

    output_dir: Path
    steps: int
    total_steps: int
    interrupted: bool
    seconds: float
    samples: int
    tokens: int
    bad_steps: int
    losses: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    cut: Mapping[str, int] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.steps >= self.total_steps


class RunLog:
    """Appends a JSON line per step. A resumed run first drops the lines after its checkpoint."""

    def __init__(self, path: Path, *, from_step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= from_step]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(f"{line}\n" for line in kept))

    def write(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


def read_log(path: str | Path) -> list[dict[str, Any]]:
    """The records of a run's ``log.jsonl``, oldest first."""
    return [json.loads(line) for line in _lines(Path(path))]


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    lines = path.read_text().splitlines()
    # A killed run may leave half a line at the end.
    return [line for line in lines if line.startswith("{") and line.endswith("}")]


def write_report(report: TrainReport) -> None:
    """Write ``summary.json`` and, with matplotlib, ``losses.png``; log skipped and cut items."""
    folder = report.output_dir
    values = asdict(report) | {"output_dir": str(folder)}
    write_json(folder / "summary.json", values)
    for problem, times in list(report.skipped.items())[:20]:
        logger.warning("left out %d times: %s", times, problem)
    if len(report.skipped) > 20:
        logger.warning(
            "and %d other items, see %s", len(report.skipped) - 20, folder / "summary.json"
        )
    if report.cut:
        logger.warning(
            "%d times a conversation was longer than data.max_length and cut at its end: %d tokens "
            "and %d media were not learned from",
            *(report.cut.get(what, 0) for what in ("conversations", "tokens", "media")),
        )
    try:
        plot_losses(folder / "log.jsonl", folder / "losses.png")
    except ImportError:
        logger.info("no losses.png: matplotlib is not installed (pip install 'anyweave[train]')")


def plot_losses(log: Path, picture: Path) -> None:
    """One panel per loss term over the steps, with a running mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    records = read_log(log)
    names = sorted({name for record in records for name in record["losses"]})
    if not names:
        return
    height = 2.2 * len(names)
    figure = Figure(figsize=(7, height))
    FigureCanvasAgg(figure)
    # Half an inch for labels: computing a layout would take longer than a short run.
    figure.subplots_adjust(
        left=0.1, right=0.97, bottom=0.45 / height, top=1 - 0.3 / height, hspace=0.5
    )
    for number, name in enumerate(names, start=1):
        points = [(r["step"], r["losses"][name]) for r in records if name in r["losses"]]
        steps, values = zip(*points, strict=True)
        axes = figure.add_subplot(len(names), 1, number)
        axes.plot(steps, values, linewidth=0.5, alpha=0.4)
        axes.plot(steps, _smooth(values), linewidth=1.2)
        axes.set_title(name, fontsize=9, loc="left")
        axes.set_xlabel("step", fontsize=8)
    with whole_file(picture) as file:
        figure.savefig(file, dpi=120, format="png")


def _smooth(values: tuple[float, ...], keep: float = 0.95) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else keep * smoothed[-1] + (1 - keep) * value)
    return smoothed
