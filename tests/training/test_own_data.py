"""Whose recipe a run on one's own data takes, and how its config names the data."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.data import ReadOptions
from anyweave.testing.model import tiny_model
from anyweave.training.own_data import config_for, data_of
from anyweave.training.recipes import load_recipe


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_model(folder / "parts").save_pretrained(folder / "model")


def test_a_model_takes_its_familys_recipe(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="anyweave.training.own_data"):
        own = config_for(3, None, checkpoint, own_data=True)
    assert own == replace(load_recipe("tiny-3"), steps=None, epochs=3.0)
    assert "the recipe is tiny-3" in caplog.text
    assert config_for(2, None, "emoji-mini", own_data=False) == load_recipe("emoji-mini-2")
    assert config_for(1, None, "paper-7b", own_data=True).optimizer.learning_rate == 4e-4


def test_a_family_without_recipes_takes_the_papers_rates(
    checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Never those of the tiny model, which is there to try the machinery out."""
    model = tiny_model(checkpoint.parent / "parts", name="house")
    with caplog.at_level(logging.INFO, logger="anyweave.training.own_data"):
        config = config_for(3, None, model, own_data=True)
    assert config.optimizer == load_recipe("paper-7b-3").optimizer
    assert (config.name, config.cache_dir, config.epochs) == ("house-3", None, 3.0)
    assert "there is no recipe house-3: rates and losses are those of paper-7b-3" in caplog.text


def test_a_recipe_that_was_named_is_taken_as_it_is(checkpoint: Path) -> None:
    for name in ("emoji-mini", "emoji-mini-3"):
        assert config_for(3, name, checkpoint, own_data=True) == load_recipe("emoji-mini-3")
    assert config_for(3, "emoji-mini-mosit", checkpoint, own_data=True).steps == 520
    assert config_for(3, None, None, own_data=True) == load_recipe("tiny-3")
    with pytest.raises(ValueError, match="a stage is 1, 2 or 3, got 4"):
        config_for(4, None, checkpoint, own_data=True)


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
