"""The page of conversations tells what was judged and what was not."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import PIL.Image
import pytest

TALKS = """
[[talk]]
title = "Judged"
good = 1
verdict = "Half of it."
turns = [{ text = "a" }, { text = "b" }]

[[talk]]
title = "New"
turns = [{ text = "c" }]
"""


def test_only_what_was_judged_is_counted(root: Path, tmp_path: Path) -> None:
    held, docs = tmp_path / "held", tmp_path / "docs"
    (held / "talks").mkdir(parents=True)
    docs.mkdir()
    (docs / "conversations.toml").write_text(TALKS)
    talks = [{"title": "Judged", "exchanges": [{}, {}]}, {"title": "New", "exchanges": [{}]}]
    (held / "conversation.json").write_text(json.dumps({"talks": talks}))
    for number in (1, 2):
        PIL.Image.new("RGB", (8, 8)).save(held / "talks" / f"{number:02d}.png")
    write = runpy.run_path(str(root / "tools" / "conversations.py"))["main"]
    write(held, docs)
    page = (docs / "conversations.md").read_text()
    assert (
        "1 of the 2 have not been judged yet. Of the others: By our own judgement **1 of 2**"
        in page
    )
    assert "1 of 2. Half of it." in page and "Not read yet." in page
    assert (docs / "assets" / "conversations" / "02.webp").is_file()
    (docs / "conversations.toml").write_text(TALKS.replace("New", "Newer"))
    with pytest.raises(SystemExit, match="hold them again"):
        write(held, docs)
