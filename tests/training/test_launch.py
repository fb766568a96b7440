from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from anyweave.data import write_messages
from anyweave.messages import Message
from anyweave.model.checkpoint import read_spec
from anyweave.testing.model import tiny_model
from anyweave.training.config import DataConfig, ModelConfig, TrainConfig
from anyweave.training.launch import load_model, load_source, main, train_stage
from anyweave.training.recipes import load_recipe
from anyweave.training.recipes.fine_tune import fine_tune
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


def test_a_stage_from_a_checkpoint_takes_the_checkpoints_own_recipe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"optimizer.learning_rate": 3e-4, "epochs": 2}
    model = tiny_model(tmp_path / "parts", fine_tuning=own)
    start = str(model.save_pretrained(tmp_path / "model"))
    config = fine_tune(3, start)
    assert (config.optimizer.learning_rate, config.epochs, config.steps) == (3e-4, 2, None)
    assert config.stage.name == "instruction_tuning" and config.data.batch_size == 8
    caplog.set_level("INFO", logger="anyweave.training.launch")
    data = tmp_path / "mine.jsonl"
    write_messages([[Message("user", "hi"), Message("assistant", w)] for w in "abcdefgh"], data)
    run = tmp_path / "run"
    report = train_stage(3, data=data, model=start, output=run, settings=["epochs=1"])
    assert report.finished and report.steps == 1
    assert json.loads((run / "config.json").read_text())["cache_dir"] == str(run / "cache")
    assert "recipe fine-tune-3: learning rate 0.0003, batch 8 x 1, 1 epochs" in caplog.text
    # What was trained goes on in the same way.
    assert read_spec(run / "model").fine_tuning == own


def test_emoji_mini_is_fine_tuned_gently() -> None:
    for number in (1, 2, 3):
        config = fine_tune(number, "emoji-mini")
        rates = [config.optimizer.rate(role) for role in config.stage.trainable]
        assert max(rates) <= 5e-4 and config.data.batch_size >= 8 and config.epochs is not None


def test_a_model_without_adapters_is_fine_tuned_without_them(tmp_path: Path) -> None:
    start = tiny_model(tmp_path / "parts", lora=None).save_pretrained(tmp_path / "model")
    assert "lora" not in fine_tune(3, str(start)).stage.trainable


def test_wrong_settings_of_a_checkpoint_are_named(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "parts", fine_tuning={"optimiser.rate": 1.0})
    start = model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="unknown config key 'optimiser"):
        fine_tune(2, str(start))
