"""What a run found: figures with trials and intervals, as JSON, as tables, as contact sheets."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anyweave import media
from anyweave.evaluation.metrics import Decisions, Figure, Proportion, Ratio
from anyweave.files import write_json, write_text
from anyweave.messages import Image as Picture
from emoji_mini.evaluation.trials import Task

SHEETS = ("image", "video")
Sample = tuple[NDArray[np.uint8], str, bool]
"""A picture, or frames of a clip side by side; what was asked for; whether it is right."""


@dataclass(frozen=True)
class TaskResult:
    figures: Mapping[str, Proportion]
    errors: Mapping[str, Figure]
    seconds_per_reply: float
    """The task's time divided by its replies, which are answered together and judged meanwhile."""


@dataclass(frozen=True, kw_only=True)
class WorldReport:
    """`rows` are the answers as ``answers.jsonl`` has them, `judges` the judges' own accuracy
    (`judging.accuracy`).
    """

    settings: Mapping[str, Any]
    tasks_asked: Mapping[str, Task] = field(repr=False)
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    judges: Mapping[str, Any]

    @cached_property
    def tasks(self) -> dict[str, TaskResult]:
        """What was found, by task."""
        return {
            name: _result([row for row in self.rows if row["task"] == name])
            for name in self.tasks_asked
        }

    @cached_property
    def decisions(self) -> Decisions:
        """Which media were given in reply to requests in everyday words."""
        found = Decisions()
        for row in self.rows:
            if row["decision"] is not None:
                wanted, given = map(set, row["decision"])
                found = found.plus(wanted, given)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "benchmark": "emoji world, held-out scenes and phrasings",
            "settings": dict(self.settings),
            "tasks": {
                name: {
                    "about": self.tasks_asked[name].about,
                    "seconds_per_reply": round(task.seconds_per_reply, 2),
                    "figures": {key: value.to_dict() for key, value in task.figures.items()},
                    "errors": {
                        key: {"value": v.value, "interval_95": v.interval, "trials": v.trials}
                        for key, v in task.errors.items()
                    },
                }
                for name, task in self.tasks.items()
            },
            "decisions": self.decisions.to_dict(),
            "judges": dict(self.judges),
        }

    def to_markdown(self) -> str:
        """Every figure, then what should stay, the choice of media, and the time."""
        told = ", ".join(
            f"{name.replace('_', ' ')} {value}"
            for name, value in self.settings.items()
            if value is not None and name != "tasks"
        )
        lines = [
            "# Emoji world",
            "",
            f"{told}. Held-out scenes in held-out words, and held-out requests in everyday words. "
            "Share right, 95% interval (Wilson). Media are judged by trained judges; the last "
            "column is their own accuracy on real renders of test scenes, and on such renders that "
            "went through the decoder's autoencoder. The judge of pictures is the encoder that the "
            "model reads pictures with, with heads of its own; the other judges share nothing with "
            "the model.",
            "",
            "| task | what | right | trials | judge itself |",
            "|---|---|---|---|---|",
        ]
        for name, task in self.tasks.items():
            for fact, figure in task.figures.items():
                judge = self._judge(self.tasks_asked[name].judged, fact)
                lines.append(f"| {name} | {fact} | {figure} | {figure.trials} | {judge} |")
        kept = [
            f"| {name} | {what} | {figure} | {figure.trials} |"
            for name, task in self.tasks.items()
            for what, figure in task.errors.items()
        ]
        if kept:
            lines += ["", "| task | what should stay | mean | trials |", "|---|---|---|---|", *kept]
        lines += ["", *self._choice_table(), "", "| task | seconds per reply |", "|---|---|"]
        lines += [f"| {name} | {task.seconds_per_reply:.1f} |" for name, task in self.tasks.items()]
        return "\n".join(lines) + "\n"

    def _choice_table(self) -> list[str]:
        d = self.decisions
        rows = (
            ("precision", _number(d.precision), f"{d.hits + d.extra} media given"),
            ("recall", _number(d.recall), f"{d.hits + d.missed} media wanted"),
            ("F1", _number(d.f1), ""),
            ("exactly the right set", d.exact_share, f"{d.replies} replies"),
            ("false draws", d.false_draw_share, f"{d.words_only} requests that want words alone"),
        )
        header = ["| choice of media, requests in everyday words | value | of |", "|---|---|---|"]
        return header + [f"| {name} | {value} | {of} |" for name, value, of in rows]

    def _judge(self, modality: str | None, fact: str) -> str:
        """The judge's own accuracy for a fact, as drawn / through the autoencoder."""
        own = self.judges.get(modality or "", {})
        scores = [found[fact] for found in own.values() if fact in found]
        return " / ".join(f"{s['share']:.3f} (n={s['trials']})" for s in scores)

    def save(self, folder: Path) -> None:
        """Write ``report.json``, ``report.md``, and a sheet of each modality that has samples."""
        write_json(folder / "report.json", self.to_dict(), indent=1)
        write_text(folder / "report.md", self.to_markdown())
        for modality in SHEETS:
            samples = [
                (media.load(Picture(str(folder / path))), row["wanted"][0], right)
                for row in self.rows
                for kind, path, right in ([row["sample"]] if "sample" in row else [])
                if kind == modality
            ]
            if samples:
                sheet = contact_sheet(samples)
                media.save("image", sheet, folder / f"{modality}.png", generated=True)


def _result(rows: Sequence[Mapping[str, Any]]) -> TaskResult:
    facts: dict[str, list[bool]] = {}
    errors: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, right in row["right"].items():
            facts.setdefault(name, []).append(right)
        for name, error in row["errors"].items():
            errors.setdefault(name, []).append((error, 1.0))
    return TaskResult(
        {name: Proportion.of(values) for name, values in facts.items()},
        {name: Figure.of(Ratio.of(pairs)) for name, pairs in errors.items()},
        sum(row["seconds"] for row in rows) / max(1, len(rows)),
    )


def _number(value: float | None) -> str:
    return "not tried" if value is None else f"{value:.2f}"


def contact_sheet(samples: Sequence[Sample], *, edge: int = 128) -> NDArray[np.uint8]:
    """Samples side by side, each framed green where it is right and red where not, its caption
    below. Raises `ValueError` without samples.
    """
    if not samples:
        raise ValueError("a contact sheet needs at least one sample")
    high, wide = samples[0][0].shape[:2]
    frames = max(1, wide // high)
    columns = max(1, 6 // frames)
    width, height = frames * edge + 12, edge + 12 + 28
    sheet = Image.new("RGB", (columns * width, -(-len(samples) // columns) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (pixels, caption, right) in enumerate(samples):
        row, column = divmod(number, columns)
        left, top = column * width, row * height
        colour = (40, 160, 70) if right else (210, 60, 50)
        draw.rectangle((left + 2, top + 2, left + width - 3, top + edge + 9), colour)
        strip = Image.fromarray(pixels).resize((frames * edge, edge), Image.Resampling.NEAREST)
        sheet.paste(strip, (left + 6, top + 6))
        words = "\n".join(textwrap.wrap(caption, frames * edge // 6)[:2])
        draw.text((left + 4, top + edge + 12), words, (20, 20, 20))
    return np.asarray(sheet)
