"""What a run found: figures with trials and intervals, as JSON, as a table, as pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from anyweave import media
from anyweave.evaluation.metrics import Decisions, Proportion
from anyweave.files import clear, write_json, write_text

WRITTEN = ("report.json", "report.md", "answers.jsonl", "image.png", "video.png")


@dataclass(frozen=True)
class Sample:
    """One generated picture, or the frames of a clip, with what was asked for and the verdict."""

    modality: str
    frames: tuple[NDArray[np.uint8], ...]
    caption: str
    right: bool


@dataclass(frozen=True)
class TaskResult:
    about: str
    figures: Mapping[str, Proportion]
    seconds_per_reply: float
    """The task's time by its replies: they are answered together, and judged meanwhile."""


@dataclass(frozen=True, kw_only=True)
class WorldReport:
    """`verifiers` is the verifiers' own accuracy on real renders (`world.verifiers.accuracy`)."""

    model: str
    num_trials: int
    seed: int
    tasks: Mapping[str, TaskResult]
    decisions: Decisions
    verifiers: Mapping[str, Any]
    settings: Mapping[str, Any]
    samples: Sequence[Sample] = field(default=(), repr=False)
    answers: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    """Every trial in words: what was said, wanted, answered and right."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {
            "benchmark": "emoji world, held-out scenes and phrasings",
            "model": self.model,
            "num_trials": self.num_trials,
            "seed": self.seed,
            "settings": dict(self.settings),
            "tasks": {
                name: {
                    "about": task.about,
                    "seconds_per_reply": round(task.seconds_per_reply, 2),
                    "figures": {key: value.to_dict() for key, value in task.figures.items()},
                }
                for name, task in self.tasks.items()
            },
            "decisions": self.decisions.to_dict(),
            "verifiers": dict(self.verifiers),
        }

    def to_markdown(self) -> str:
        """Two tables: every figure, then the choice of modalities."""
        lines = [
            f"# Emoji world: {self.model}",
            "",
            f"Held-out scenes in held-out words, {self.num_trials} trials per task, seed "
            f"{self.seed}. Share right, 95% interval (Wilson). Media are judged by verifiers; the "
            "last column is their own accuracy on real renders of test scenes, and on such renders "
            "softened as an autoencoder does.",
            "",
            "| task | what | right | trials | verifier itself |",
            "|---|---|---|---|---|",
        ]
        for name, task in self.tasks.items():
            for fact, figure in task.figures.items():
                judge = self._judge(task.about, fact)
                lines.append(f"| {name} | {fact} | {figure} | {figure.trials} | {judge} |")
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
            ("false draws", d.false_draw_share, f"{d.words_only} replies that want words alone"),
        )
        header = ["| choice of modalities | value | of |", "|---|---|---|"]
        return header + [f"| {name} | {value} | {of} |" for name, value, of in rows]

    def _judge(self, about: str, fact: str) -> str:
        """The verifier's own accuracy for a judged fact: clean / softened renders."""
        wanted = about.rpartition("+ ")[2]
        if "->" not in about or wanted not in self.verifiers:
            return ""
        own = self.verifiers[wanted]
        scores = [own[how][fact] for how in ("clean", "softened") if fact in own.get(how, {})]
        return " / ".join(f"{s['accuracy']:.3f} (n={s['trials']})" for s in scores)

    def save(self, folder: str | Path) -> Path:
        """Write ``report.json``, ``report.md``, ``answers.jsonl``, ``image.png``, ``video.png``.

        Returns the folder. A sheet of pictures is written only where there are some.
        """
        folder = Path(folder)
        clear(folder, WRITTEN)
        write_json(folder / "report.json", self.to_dict(), indent=1)
        write_text(folder / "report.md", self.to_markdown())
        lines = [json.dumps(answer, ensure_ascii=False) for answer in self.answers]
        write_text(folder / "answers.jsonl", "".join(f"{line}\n" for line in lines))
        for modality in ("image", "video"):
            chosen = [sample for sample in self.samples if sample.modality == modality]
            if chosen:
                sheet = folder / f"{modality}.png"
                media.save("image", contact_sheet(chosen), sheet, generated=True)
        return folder


def _number(value: float | None) -> str:
    return "not tried" if value is None else f"{value:.2f}"


def contact_sheet(
    samples: Sequence[Sample], *, edge: int = 128, columns: int | None = None
) -> NDArray[np.uint8]:
    """Samples side by side, each framed green where it is right and red where not, its caption
    below.

    A clip's frames stand in a row. Raises `ValueError` without samples.
    """
    if not samples:
        raise ValueError("a contact sheet needs at least one sample")
    frames = max(len(sample.frames) for sample in samples)
    columns = columns or max(1, 6 // frames)
    width, height = frames * edge + 12, edge + 12 + 28
    rows = -(-len(samples) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "white")
    draw = ImageDraw.Draw(sheet)
    for number, sample in enumerate(samples):
        row, column = divmod(number, columns)
        left, top = column * width, row * height
        colour = (40, 160, 70) if sample.right else (210, 60, 50)
        wide = len(sample.frames) * edge
        draw.rectangle((left + 2, top + 2, left + wide + 9, top + edge + 9), colour)
        for place, frame in enumerate(sample.frames):
            picture = Image.fromarray(frame).resize((edge, edge), Image.Resampling.NEAREST)
            sheet.paste(picture, (left + 6 + place * edge, top + 6))
        draw.text((left + 4, top + edge + 12), _wrapped(sample.caption, wide // 6), (20, 20, 20))
    return np.asarray(sheet)


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])
