from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.training.config import DataConfig, ModelConfig, TrainConfig
from anyweave.training.launch import load_model, load_source, main, train_stage
from anyweave.training.recipes import load_recipe
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


def test_a_stage_runs_on_given_data_into_a_given_folder(tmp_path: Path) -> None:
    lines = [
        {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": word}]}
        for word in ("hello", "good day", "hey")
    ]
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    report = train_stage(
        3, data=data, output=tmp_path / "run", settings=["steps=2", "data.batch_size=1"]
    )
    assert report.finished and report.output_dir == tmp_path / "run"
    with pytest.raises(
        ValueError, match="unknown recipe 'emoji-mni-1'; did you mean 'emoji-mini-1'"
    ):
        train_stage(1, recipe="emoji-mni")


def test_configs_of_older_runs_find_the_world_where_it_is_now() -> None:
    config = replace(
        load_recipe("tiny-3"),
        data=DataConfig(
            source="anyweave.world.sources:WorldDialogues",
            args={"split": "train", "size": 2, "seed": 0, "with_media": False},
        ),
    )
    assert type(load_source(config)).__module__ == "emoji_mini.world.sources"
