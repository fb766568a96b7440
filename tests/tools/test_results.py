"""The figures of the documentation come from reports, and from nowhere else."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anyweave.evaluation.metrics import Decisions, Proportion


@pytest.fixture
def tool(root: Path, tmp_path: Path) -> dict[str, Any]:
    """The tool, looking for its reports in `tmp_path`."""
    names = runpy.run_path(str(root / "tools" / "results.py"))
    found: dict[str, Any] = names["table"].__globals__
    found["ROOT"], found["REPORTS"] = tmp_path, tmp_path / "reports"
    return found


def write(folder: Path, tool: dict[str, Any], bridge: str, right: int) -> None:
    tasks: dict[str, Any] = {}
    for _, task, what, _ in tool["TARGETS"]:
        figures = tasks.setdefault(task, {"figures": {}})["figures"]
        figures[what] = Proportion(right, 200).to_dict()
    decisions = Decisions(hits=98, extra=2, missed=0, exact=98, replies=100, words_only=50)
    report = {
        "settings": {"bridge": bridge},
        "decisions": decisions.to_dict(),
        "tasks": tasks,
    }
    path = folder / "reports" / tool["BRIDGES"][bridge] / "report.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(report))


def test_targets_are_told_reached_or_not(tool: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, tool, "caption", 180)
    write(tmp_path, tool, "signal", 100)
    lines = dict(line[2:].split(" | ", 1) for line in tool["table"]("targets").splitlines())
    row = "0.93 | 0.90 [0.85, 0.93] | 0.50 [0.43, 0.57] | 200 | **no** |"
    assert lines["generated picture: things"] == row
    assert lines["generated sound"].endswith("| yes |")
    declined = "at most 0.01 | 0.10 [0.07, 0.15] | 0.50 [0.43, 0.57] | 200 | **no** |"
    assert lines["known picture wrongly declined"] == declined
    assert lines["right-media decision, F1"] == "0.97 | 0.99 | 0.99 | 100 | yes |"
    assert "| cross | all right | 0.90 [0.85, 0.93] |" in tool["table"]("figures")


def test_what_a_report_does_not_have_is_told(tool: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, tool, "caption", 180)
    write(tmp_path, tool, "signal", 100)
    path = tmp_path / "reports" / "world" / "report.json"
    report = json.loads(path.read_text())
    del report["tasks"]["make audio"]["figures"]["sound"]
    path.write_text(json.dumps(report))
    (row,) = [r for r in tool["table"]("targets").splitlines() if "generated sound" in r]
    assert row == "| generated sound | 0.90 | - | 0.50 [0.43, 0.57] | - | not measured |"


def test_a_missing_report_is_named(tool: dict[str, Any]) -> None:
    assert tool["table"]("targets") == "*Not measured: there is no `reports/world/report.json`.*"
    with pytest.raises(ValueError, match="no table 'x'; there are targets"):
        tool["table"]("x")


def test_the_pages_are_up_to_date(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "tools/results.py", "--check"], check=False)
    assert done.returncode == 0
