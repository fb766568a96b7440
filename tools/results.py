"""Write the tables of docs/results.md and docs/ablations.md from the committed reports: no figure
is typed by hand.

    python tools/results.py          # rewrite the tables
    python tools/results.py --check  # fail if they are out of date

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; the prose around them is ours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "results.md", ROOT / "docs" / "ablations.md")
REPORTS = ROOT / "reports"

# Figures of earlier trainings, whose reports are gone.
HISTORY: dict[str, dict[str, Any]] = json.loads((REPORTS / "history.json").read_text())

# what -> (floor, task, figure); the floors are what version 0 was asked for.
FLOORS: dict[str, tuple[float, str, str]] = {
    "object named from a picture": (0.6, "describe image", "object"),
    "object in the generated picture": (0.6, "make image", "object"),
    "sound named": (0.6, "describe audio", "sound"),
    "generated sound right": (0.6, "make audio", "sound"),
    "generated clip shows the right object": (0.5, "make video", "object"),
}
F1_FLOOR = 0.9
# Decided before a bridge is crossed.
SAME = ("stated", "given", "words_alone", "says_something")


def report(name: str) -> dict[str, Any]:
    """A committed report of ``anyweave eval world``, or what is kept of an earlier one."""
    path = REPORTS / name / "report.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else HISTORY[name]
    return found


def figure(name: str, task: str, what: str) -> dict[str, Any] | None:
    """One figure of a report, or None where that report did not measure it."""
    found: dict[str, Any] | None = report(name)["tasks"].get(task, {}).get("figures", {}).get(what)
    return found


def cell(value: dict[str, Any] | None) -> str:
    """Share and 95% interval."""
    if value is None:
        return "-"
    low, high = value["interval_95"]
    return f"{value['share']:.2f} [{low:.2f}, {high:.2f}]"


def rows(heading: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# Reports of the three trainings: the first, on dialogues from templates, and on emoji MosIT.
TRAININGS = {
    "first": "first",
    "templates": "templates",
    "emoji MosIT": "world",
}


def floors() -> str:
    """The figures with floors, reached or not, beside those of earlier trainings."""
    f1 = [report(name)["decisions"]["f1"] for name in TRAININGS.values()]
    reached = "yes" if f1[-1] >= F1_FLOOR else "**no**"
    body = [["right-media decision, F1", f"{F1_FLOOR:.2f}", *(f"{x:.2f}" for x in f1), reached]]
    for what, (floor, task, name) in FLOORS.items():
        now = figure("world", task, name)
        assert now is not None
        body.append(
            [
                what,
                f"{floor:.2f}",
                *(cell(figure(training, task, name)) for training in TRAININGS.values()),
                "yes" if now["share"] >= floor else "**no**",
            ]
        )
    heads = [f"{title}, {report(name)['num_trials']} trials" for title, name in TRAININGS.items()]
    return rows(["what", "floor", *heads, "reached"], body)


def before_and_after() -> str:
    """Every figure of the world benchmark before and after emoji MosIT."""
    body = []
    for task, found in report("world")["tasks"].items():
        for name, value in found["figures"].items():
            body.append([task, name, cell(figure("templates", task, name)), cell(value)])
    return rows(["task", "what", "templates", "emoji MosIT"], body)


def decisions() -> str:
    """Media given and not, counted over all tasks."""
    body = []
    for title, name in TRAININGS.items():
        found = report(name)["decisions"]
        counts = [str(found["counts"][kind]) for kind in ("hits", "extra", "missed")]
        shares = [f"{found[kind]:.2f}" for kind in ("precision", "recall", "f1")]
        body.append([title, *counts, *shares])
    heads = ["wanted and given", "not wanted, given", "wanted, not given"]
    return rows(["training", *heads, "precision", "recall", "F1"], body)


def bridges() -> str:
    """The same tasks with both bridges."""
    body = []
    for task, found in report("world-signal")["tasks"].items():
        for name, value in found["figures"].items():
            if task.startswith("describe") or name in SAME:
                continue
            body.append([task, name, cell(figure("world", task, name)), cell(value)])
    kinds = [report(name)["settings"]["bridge"] for name in ("world", "world-signal")]
    return rows(["task", "what", *(f"`bridge={kind}`" for kind in kinds)], body)


def file(path: Path, skip: int) -> str:
    """A report's own Markdown without its first lines."""
    return "\n".join(path.read_text().splitlines()[skip:]).strip()


def ablation(name: str) -> str:
    """The table of an ablation, with the command that made it."""
    return file(REPORTS / "ablations" / f"{name}.md", 4)


TABLES: dict[str, Callable[[], str]] = {
    "floors": floors,
    "decisions": decisions,
    "bridges": bridges,
    "latency": lambda: file(REPORTS / "latency" / "report.md", 4),
    "side-by-side": before_and_after,
    "world": lambda: file(REPORTS / "world" / "report.md", 2),
    "input-projector": lambda: ablation("input-projector"),
    "signal-tokens": lambda: ablation("signal-tokens"),
    "bridge": lambda: ablation("bridge"),
}


def filled(text: str) -> str:
    """A page with fresh tables. Raises `ValueError` for a table that does not exist."""

    def fill(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in TABLES:
            raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
        return f"<!-- table: {name} -->\n{TABLES[name]()}\n<!-- end -->"

    return re.sub(r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for page in PAGES:
        text = page.read_text()
        fresh = filled(text)
        if not check:
            page.write_text(fresh)
        elif fresh != text:
            sys.exit(f"{page.relative_to(ROOT)} is out of date: run python tools/results.py")


if __name__ == "__main__":
    main()
