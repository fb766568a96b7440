"""Every example runs, on the tiny model."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from anyweave.generation import Reply
from anyweave.model import checkpoint
from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    return str(tiny_model().save_pretrained(folder / "model"))


# What each example is given after the model, and what it must leave in its folder.
EXAMPLES = {
    "chat": ([], ["reply-*.wav"]),
    "edit_picture": ([""], ["before.png", "after-0.4.png", "after-0.8.png"]),
    "train_on_own_data": ([], ["colours.jsonl", "run/model/spec.json"]),
}


def test_every_example_is_tested(root: Path) -> None:
    assert {path.stem for path in (root / "examples").glob("*.py")} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs(
    name: str, model: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more, written = EXAMPLES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", model, *more, str(tmp_path / "out")])
    runpy.run_path(str(root / "examples" / f"{name}.py"), run_name="__main__")
    for pattern in written:
        assert list((tmp_path / "out").glob(pattern)), pattern


def test_the_notebook_runs(
    model: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cell by cell, the tiny model under the name of emoji-mini. It is stored without outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "EMBEDDED", {"emoji-mini": model})
    notebook = json.loads((root / "examples" / "front_door.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    names: dict[str, Any] = {}
    for cell in cells:
        *before, last = "".join(cell["source"]).rstrip().split("\n")
        exec("\n".join([*before, f"shown = {last}"]), names)
    assert isinstance(names["shown"], Reply) and names["shown"].images
    assert (tmp_path / "runs" / "colours" / "model" / "spec.json").is_file()
