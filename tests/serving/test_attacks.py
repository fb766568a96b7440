"""The list of attacks in the documentation: every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path


def test_every_attack_has_its_test(root: Path) -> None:
    page = (root / "docs" / "serving.md").read_text("utf-8")
    rows = [r for r in page.split("## Attacks")[1].splitlines() if r.startswith("| ")][2:]
    assert len(rows) > 25
    for row in rows:
        attack, _, tests = (cell.strip() for cell in row.strip("|").split("|"))
        named = re.findall(r"`([^`]+)`", tests)
        assert named or tests == "the same test", f"no test against: {attack}"
        source = ""
        for name in named:
            file, _, test = name.rpartition("::")
            if file or name.endswith(".py"):
                place = file or name
                found = root / place if "/" in place else root / "tests" / "serving" / place
                source = found.read_text("utf-8")
            if not name.endswith(".py"):
                assert f"def {test}(" in source, f"{name}, against: {attack}"
