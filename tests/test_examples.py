"""Every example runs, on the tiny model."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    return str(tiny_model(folder / "parts").save_pretrained(folder / "model"))


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
