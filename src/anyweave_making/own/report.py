"""What a run on a user's own data did, for people: ``report.md`` and ``report.html``."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anyweave.files import write_text
from anyweave.media.showing import message_html
from anyweave.messages import Message, Text


@dataclass(frozen=True)
class Answered:
    """A question, what the data answer (None: it is not in the data), and both models' replies."""

    question: Message
    wanted: Message | None
    before: Message
    after: Message


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How a lesson went."""

    stage: str
    held_out: tuple[tuple[int, float], ...]
    best_step: int
    steps: int
    seconds: float
    skipped: Mapping[str, int]

    @property
    def summary(self) -> str:
        """In a sentence."""
        return (
            f"{self.stage}: {self.steps} steps in {self.seconds / 60:.1f} min. Best held-out loss "
            f"at step {self.best_step}; the model in model/ has those weights."
        )


@dataclass(frozen=True, kw_only=True)
class OwnReport:
    """Everything that the report says."""

    model: str
    output: Path
    plan: str
    lessons: tuple[Learned, ...]
    asked: tuple[Answered, ...]
    always_asked: tuple[Answered, ...]

    @property
    def kept(self) -> tuple[int, int]:
        """Of the questions that are always asked, how many get the same media, and the same words,
        as before.
        """
        media = sum(_kinds(row.before) == _kinds(row.after) for row in self.always_asked)
        words = sum(row.before.text == row.after.text for row in self.always_asked)
        return media, words

    def to_markdown(self) -> str:
        """The report in words."""
        media, words = self.kept
        total = len(self.always_asked)
        lines = [
            f"# {self.model} on your data",
            "",
            self.plan,
            *(line for lesson in self.lessons for line in _lesson(lesson)),
            "## Requests that no training has seen",
            "",
            "| asked | before | after |",
            "|---|---|---|",
            *(_row(row) for row in self.asked),
            "",
            "## What was forgotten",
            "",
            f"Of {total} questions that have nothing to do with your data, {media} get the same "
            f"media as before and {words} the same words.",
            "",
            "| asked | before | after |",
            "|---|---|---|",
            *(_row(row) for row in self.always_asked),
            "",
            "## Talk to it",
            "",
            "```sh",
            f"anyweave chat --model {self.output / 'model'}",
            "```",
        ]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """The report with pictures, clips and sounds in it, in one file."""
        media, words = self.kept
        plan = "".join(
            f"<tr><th>{html.escape(cells[1].strip())}</th><td>{html.escape(cells[2].strip())}</td>"
            for cells in (line.split("|") for line in self.plan.splitlines()[2:])
        )
        return _PAGE.format(
            title=html.escape(f"{self.model} on your data"),
            plan=plan,
            lessons="".join(map(_html_lesson, self.lessons)),
            asked="".join(map(_html_row, self.asked)),
            kept=f"Of {len(self.always_asked)} questions that have nothing to do with your data, "
            f"{media} get the same media as before and {words} the same words.",
            always="".join(map(_html_row, self.always_asked)),
            command=html.escape(f"anyweave chat --model {self.output / 'model'}"),
        )


def write_report(report: OwnReport) -> None:
    """Both files, into the run's folder."""
    write_text(report.output / "report.md", report.to_markdown())
    write_text(report.output / "report.html", report.to_html())


def _kinds(message: Message) -> list[str]:
    return [part.modality for part in message.media()]


def _said(message: Message) -> str:
    parts = [
        part.text if isinstance(part, Text) else f"[{part.modality}: {part.caption or 'given'}]"
        for part in message.parts
    ]
    return " ".join(parts).replace("|", "\\|").replace("\n", " ")


def _row(row: Answered) -> str:
    return f"| {_said(row.question)} | {_said(row.before)} | {_said(row.after)} |"


def _lesson(lesson: Learned) -> list[str]:
    return [
        lesson.summary,
        "",
        "| step | held-out loss |",
        "|---|---|",
        *(f"| {step} | {loss:.4f} |" for step, loss in lesson.held_out),
        "",
        *(f"- left out {count} times: {why}" for why, count in lesson.skipped.items()),
        "",
    ]


def _html_lesson(lesson: Learned) -> str:
    rows = "".join(f"<tr><td>{step}</td><td>{loss:.4f}</td></tr>" for step, loss in lesson.held_out)
    left_out = "".join(
        f"<li>left out {count} times: {html.escape(why)}</li>"
        for why, count in lesson.skipped.items()
    )
    return (
        f"<p>{html.escape(lesson.summary)}</p>"
        f"<table><tr><th>step<th>held-out loss</tr>{rows}</table><ul>{left_out}</ul>"
    )


def _html_row(row: Answered) -> str:
    cells = "".join(
        f"<td>{message_html(message)}</td>" for message in (row.question, row.before, row.after)
    )
    return f"<tr>{cells}</tr>"


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }}
th, td {{ text-align: left; vertical-align: top; padding: .5rem .75rem;
  border-bottom: 1px solid color-mix(in srgb, currentColor 18%, transparent); }}
td img, td video {{ max-width: 14rem; border-radius: .5rem; }}
code {{ font-size: .95em; }}
</style>
<h1>{title}</h1>
<table>{plan}</table>
{lessons}
<h2>Requests that no training has seen</h2>
<table><tr><th>asked<th>before<th>after</tr>{asked}</table>
<h2>What was forgotten</h2>
<p>{kept}</p>
<table><tr><th>asked<th>before<th>after</tr>{always}</table>
<h2>Talk to it</h2>
<p><code>{command}</code></p>
</html>
"""
