"""How a run's config names somebody's own data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from anyweave.data import ReadOptions
from anyweave.training.own_data import data_of
from anyweave.training.recipes import load_recipe


def test_a_config_names_data_as_plain_json(tmp_path: Path) -> None:
    before = load_recipe("tiny-3").data
    config = data_of(before, tmp_path / "a.json", None, ReadOptions())
    assert config == replace(
        before, source="anyweave.data:Records", args={"path": str(tmp_path / "a.json")}
    )
    read = ReadOptions(media={"image": tmp_path}, columns={"caption": "title"}, task="generate")
    args = data_of(before, f"{tmp_path}/{{0..3}}.tar", "webdataset", read).args
    assert json.loads(json.dumps(args)) == {
        "data": f"{tmp_path}/{{0..3}}.tar",
        "format": "webdataset",
        "media": {"image": str(tmp_path)},
        "columns": {"caption": "title"},
        "task": "generate",
    }
