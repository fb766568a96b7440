"""Write the tables of docs/results.md and docs/ablations.md from the committed reports: no figure
is typed by hand.

    python tools/results.py          # rewrite the tables
    python tools/results.py --check  # fail if they are out of date

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; the prose around them is ours.
A missing report is named in place of its table.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "results.md", ROOT / "docs" / "ablations.md")
REPORTS = ROOT / "reports"
# Bridge -> the report of ``anyweave eval world`` with it; the first is the default.
BRIDGES = {"caption": "world", "signal": "world-signal"}
Figure = dict[str, Any]

# Targets: words, task and figure of the report, target. For those with "not", the share of the rest
# is shown: it should be small.
TARGETS: tuple[tuple[str, str, str, float], ...] = (
    ("known picture wrongly declined", "everyday image", "not declined", 0.01),
    ("known clip wrongly declined", "everyday video", "not declined", 0.01),
    ("known sound wrongly declined", "everyday audio", "not declined", 0.01),
    (
        "unknown thing declined or openly replaced",
        "everyday unknown",
        "declined or openly replaced",
        0.9,
    ),
    ("picture read: things", "describe image", "object", 0.95),
    ("picture read: number", "describe image", "count", 0.95),
    ("picture read: relation", "describe image", "relation", 0.85),
    ("clip read: thing", "describe video", "object", 0.95),
    ("clip read: motion", "describe video", "motion", 0.9),
    ("sound named", "describe audio", "sound", 0.97),
    ("generated picture: things", "make image", "object", 0.93),
    ("generated picture: number", "make image", "count", 0.93),
    ("generated picture: relation", "make image", "relation", 0.8),
    ("generated sound", "make audio", "sound", 0.9),
    ("generated clip: thing", "make video", "object", 0.85),
    ("generated clip: motion", "make video", "motion", 0.85),
    ("cross-modal chains, all right", "cross", "all right", 0.85),
    ("follow-ups, all right", "follow up", "all right", 0.85),
)
F1_TARGET, FALSE_DRAWS_TARGET = 0.97, 0.02


def report(bridge: str) -> dict[str, Any]:
    """The report of ``anyweave eval world`` with a bridge."""
    found: dict[str, Any] = json.loads((REPORTS / BRIDGES[bridge] / "report.json").read_text())
    assert found["settings"]["bridge"] == bridge, f"{BRIDGES[bridge]} is of another bridge"
    return found


def figures(bridge: str) -> dict[str, Figure]:
    """The figures of a report by "task / what"."""
    return {
        f"{task} / {what}": figure
        for task, result in report(bridge)["tasks"].items()
        for what, figure in result["figures"].items()
    }


def share(figure: Figure, *, rest: bool = False) -> float:
    """The share of a figure, or of the rest."""
    found = float(figure["share"])
    return 1 - found if rest else found


def cell(figure: Figure | None, *, rest: bool = False) -> str:
    """Share and 95% interval; with `rest`, those of the rest."""
    if figure is None or figure["share"] is None:
        return "-"
    low, high = figure["interval_95"]
    if rest:
        low, high = 1 - high, 1 - low
    return f"{share(figure, rest=rest):.2f} [{low:.2f}, {high:.2f}]"


def rows(heading: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def counted(found: Sequence[Figure | None]) -> str:
    """The trials of each bridge, once if they are equally many."""
    return " / ".join(dict.fromkeys(str(f["trials"]) for f in found if f is not None))


def targets() -> str:
    """Targets and what was reached, with both bridges."""
    body = [_decided("right-media decision, F1", F1_TARGET, lambda d: d["f1"])]
    body.append(
        _decided(
            "media where words alone were wanted",
            FALSE_DRAWS_TARGET,
            lambda d: d["false_draws"]["share"],
        )
    )
    by_bridge = {bridge: figures(bridge) for bridge in BRIDGES}
    for words, task, what, target in TARGETS:
        rest = what.startswith("not ")
        found = [by_bridge[bridge].get(f"{task} / {what}") for bridge in BRIDGES]
        cells = [cell(figure, rest=rest) for figure in found]
        first, reached, trials = found[0], "not measured", "-"
        if first is not None and first["share"] is not None:
            reached = _reached(share(first, rest=rest), target, rest=rest)
            trials = counted(found)
        body.append([words, _aim(target, rest=rest), *cells, trials, reached])
    heads = [f"`{bridge}`" for bridge in BRIDGES]
    return rows(["what", "target", *heads, "trials", "reached"], body)


def _decided(words: str, target: float, of: Callable[[dict[str, Any]], float | None]) -> list[str]:
    found = [report(bridge)["decisions"] for bridge in BRIDGES]
    small = target < 0.5
    values = [of(decisions) for decisions in found]
    first = values[0]
    reached = "not measured" if first is None else _reached(first, target, rest=small)
    trials = counted([decisions["false_draws" if small else "exact"] for decisions in found])
    return [
        words,
        _aim(target, rest=small),
        *("-" if v is None else f"{v:.2f}" for v in values),
        trials,
        reached,
    ]


def _aim(target: float, *, rest: bool) -> str:
    return f"at most {target:.2f}" if rest else f"{target:.2f}"


def _reached(found: float, target: float, *, rest: bool) -> str:
    return "yes" if (found <= target if rest else found >= target) else "**no**"


def every_figure() -> str:
    """All figures of both bridges."""
    by_bridge = {bridge: figures(bridge) for bridge in BRIDGES}
    names = dict.fromkeys(name for found in by_bridge.values() for name in found)
    body = [
        [
            *name.split(" / ", 1),
            *(cell(found.get(name)) for found in by_bridge.values()),
            counted([found.get(name) for found in by_bridge.values()]),
        ]
        for name in names
    ]
    return rows(["task", "what", *(f"`{bridge}`" for bridge in BRIDGES), "trials"], body)


def file(path: Path, skip: int) -> str:
    """A report's own Markdown without its first lines."""
    return "\n".join(path.read_text().splitlines()[skip:]).strip()


def ablation(name: str) -> str:
    """The table of an ablation, with the command that made it."""
    return file(REPORTS / "ablations" / f"{name}.md", 4)


TABLES: dict[str, Callable[[], str]] = {
    "targets": targets,
    "figures": every_figure,
    "latency": lambda: file(REPORTS / "latency" / "report.md", 4),
    "input-projector": lambda: ablation("input-projector"),
    "signal-tokens": lambda: ablation("signal-tokens"),
    "bridge": lambda: ablation("bridge"),
}


def table(name: str) -> str:
    """A table, or which report it waits for. Raises `ValueError` for one that does not exist."""
    if name not in TABLES:
        raise ValueError(f"no table {name!r}; there are {', '.join(TABLES)}")
    try:
        return TABLES[name]()
    except FileNotFoundError as missing:
        return (
            f"*Not measured: there is no `{Path(missing.filename).relative_to(ROOT).as_posix()}`.*"
        )


def filled(text: str) -> str:
    """A page with fresh tables."""
    return re.sub(
        r"<!-- table: ([\w-]+) -->\n.*?<!-- end -->",
        lambda match: f"<!-- table: {match[1]} -->\n{table(match[1])}\n<!-- end -->",
        text,
        flags=re.DOTALL,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    for page in PAGES:
        text = page.read_text("utf-8")
        fresh = filled(text)
        if not check:
            page.write_text(fresh, "utf-8")
        elif fresh != text:
            sys.exit(f"{page.relative_to(ROOT)} is out of date: run python tools/results.py")


if __name__ == "__main__":
    main()
