from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.training.config import DataConfig, ModelConfig, TrainConfig
from anyweave.training.launch import load_model, load_source, main
from anyweave.training.report import read_log

MakeConfig = Callable[..., TrainConfig]


def test_a_recipe_runs_by_name(tmp_path: Path) -> None:
    settings = ["steps=2", "checkpoint_every=0", f"output_dir={tmp_path}/run"]
    main(["tiny-3", *[word for setting in settings for word in ("--set", setting)]])
    assert len(read_log(tmp_path / "run" / "log.jsonl")) == 2
    assert (tmp_path / "run" / "model" / "spec.json").is_file()


def test_names_that_lead_nowhere(config: MakeConfig) -> None:
    run = replace(config(), data=DataConfig(source="nowhere"))
    with pytest.raises(ValueError, match="data.source is module:function, got 'nowhere'"):
        load_source(run)
    run = replace(run, model=ModelConfig(source="anyweave.testing.model:big_model"))
    with pytest.raises(
        ValueError, match="model.source='anyweave.testing.model:big_model' cannot be found"
    ):
        load_model(run)
