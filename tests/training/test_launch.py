from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from anyweave.data import ReadOptions, write_messages
from anyweave.media import save
from anyweave.messages import Message
from anyweave.model import NextGPT
from anyweave.model.checkpoint import read_spec
from anyweave.testing.conversations import tiny_conversations
from anyweave.testing.model import tiny_model
from anyweave.training.config import DataConfig, ModelConfig, TrainConfig
from anyweave.training.launch import (
    load_model,
    load_source,
    main,
    run,
    train,
)
from anyweave.training.recipes.fine_tune import fine_tune
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

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
    report = train(data=data, output=tmp_path / "run", settings=["steps=2", "data.batch_size=1"])
    assert report.finished and report.output_dir == tmp_path / "run"
    with pytest.raises(
        ValueError, match="unknown recipe 'emoji-mni-1'; did you mean 'emoji-mini-1'"
    ):
        train(stage=1, recipe="emoji-mni")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return tiny_model().save_pretrained(folder / "model")


def _write_alpaca(folder: Path) -> Path:
    rows = [{"instruction": "hi", "input": "", "output": word} for word in ("hello", "hey")]
    path = folder / "alpaca.json"
    path.write_text(json.dumps(rows))
    return path


def test_a_stage_reads_every_format_that_convert_reads(checkpoint: Path, tmp_path: Path) -> None:
    """By sight, by name, with columns of other names; shards are streamed."""
    alpaca = _write_alpaca(tmp_path)
    pairs = tmp_path / "pairs.csv"
    picture = save("image", np.zeros((16, 16, 3), np.uint8), tmp_path / "dot.png")
    pairs.write_text(f"image,title\n{picture.name},a dot\n{picture.name},a spot\n")
    shard = tmp_path / "shards" / "a-0.jsonl"
    shard.parent.mkdir()
    write_messages([[Message("user", "hi"), Message("assistant", "hello")]] * 2, shard)
    read = ReadOptions(columns={"caption": "title"}, media=tmp_path, task="generate")
    cases: list[tuple[str | Path, str | None, ReadOptions | None]] = [
        (alpaca, None, None),
        (alpaca, "alpaca", None),
        (pairs, "pairs", read),
        (str(tmp_path / "shards" / "a-{0..0}.jsonl"), "messages", None),
    ]
    for number, (data, format, options) in enumerate(cases):
        report = train(
            stage=3,
            data=data,
            format=format,
            read=options,
            model=str(checkpoint),
            output=tmp_path / f"run-{number}",
            settings=["steps=1"],
        )
        assert report.finished and not report.skipped
        stored = json.loads((report.output_dir / "config.json").read_text())["data"]
        # The run's config alone finds the same data again.
        config = TrainConfig.from_dict(json.loads((report.output_dir / "config.json").read_text()))
        assert len(load_source(config)) == 2, stored
    assert stored["source"] == "anyweave.data:stream"
    assert "alignment/image" in read_log(tmp_path / "run-2" / "log.jsonl")[0]["losses"]


def test_pairs_are_requests_in_stage_2_and_descriptions_before(
    checkpoint: Path, tmp_path: Path
) -> None:
    save("image", np.zeros((16, 16, 3), np.uint8), tmp_path / "dot.png")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("image,caption\ndot.png,a dot\n")
    for number, task in ((1, "describe"), (2, "generate")):
        report = train(
            stage=number,
            data=pairs,
            format="pairs",
            model=checkpoint,
            output=tmp_path / str(number),
            settings=["steps=1"],
        )
        config = json.loads((report.output_dir / "config.json").read_text())
        assert config["data"]["args"].get("task", "describe") == task


def test_what_is_given_in_python_is_trained(tmp_path: Path, checkpoint: Path) -> None:
    model = tiny_model()
    before = {name: p.clone() for name, p in model.parameters_of("lora").items()}
    lesson = [Message("user", "hi"), Message("assistant", "hello")]
    report = train(model, [lesson] * 3, output=tmp_path / "run", steps=2)
    assert report.steps == 2
    after = model.parameters_of("lora")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["data"]["source"] == "(given in Python)"
    assert stored["model"]["source"] == "(tiny, in memory)"
    with pytest.raises(ValueError, match="already holds a run"):
        train(model, [lesson] * 3, output=tmp_path / "run", steps=2)
    again = train(model, [lesson] * 3, output=tmp_path / "run", steps=2, resume=True)
    assert again.steps == 2


SAMPLES = ["steps=2", "sample_every=1", 'sample_prompts=["hello"]', "checkpoint_every=0"]


def test_samples_are_written_wherever_a_run_is_started(tmp_path: Path) -> None:
    words = [word for setting in SAMPLES for word in ("--set", setting)]
    main(["tiny-3", *words, "--set", f"output_dir={tmp_path}/run"])
    assert len(list((tmp_path / "run" / "samples").glob("step-*/samples.json"))) == 2


def test_samples_are_written_by_one_of_several_processes(
    tmp_path: Path, in_processes: Callable[..., list[int]]
) -> None:
    def work() -> None:
        train(output=tmp_path / "run", settings=SAMPLES)

    assert in_processes(2, work) == [0, 0]
    written = sorted((tmp_path / "run" / "samples").glob("step-*/samples.json"))
    assert len(written) == 2
    assert [entry["prompt"] for entry in json.loads(written[0].read_text())] == ["hello"]


def test_samples_that_cannot_be_are_told(
    config: MakeConfig,
    new_model: Callable[[], NextGPT],
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = config(sample_every=2, steps=1)
    with caplog.at_level(logging.WARNING):
        Trainer(new_model(), given, tiny_conversations())
    assert "sample_every=2 writes nothing" in caplog.text
    with caplog.at_level(logging.WARNING):
        run(given, model=new_model(), source=tiny_conversations())
    assert "sample_every=2, but sample_prompts is empty" in caplog.text


def test_a_stage_from_a_checkpoint_takes_the_checkpoints_own_recipe(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"optimizer.learning_rate": 3e-4, "epochs": 2}
    model = tiny_model(fine_tuning=own)
    start = str(model.save_pretrained(tmp_path / "model"))
    config = fine_tune(3, start)
    assert (config.optimizer.learning_rate, config.epochs, config.steps) == (3e-4, 2, None)
    assert config.stage.name == "instruction_tuning" and config.data.batch_size == 8
    caplog.set_level("INFO", logger="anyweave.training.launch")
    data = tmp_path / "mine.jsonl"
    write_messages([[Message("user", "hi"), Message("assistant", w)] for w in "abcdefgh"], data)
    run = tmp_path / "run"
    report = train(data=data, model=start, output=run, settings=["epochs=1"])
    assert report.finished and report.steps == 1
    assert json.loads((run / "config.json").read_text())["cache_dir"] == str(run / "cache")
    assert "recipe fine-tune-3: learning rate 0.0003, batch 8 x 1, 1 epochs" in caplog.text
    # What was trained goes on in the same way.
    assert read_spec(run / "model").fine_tuning == own


def test_specs_and_models_in_memory_are_fine_tuned_too(tmp_path: Path) -> None:
    model = tiny_model(fine_tuning={"epochs": 2})
    assert fine_tune(3, model).epochs == 2
    assert fine_tune(1, "paper-7b").name == "fine-tune-1"
    with pytest.raises(ValueError, match="a stage is 1, 2 or 3, got 4"):
        train(stage=4, model=model)


def test_emoji_mini_is_fine_tuned_gently() -> None:
    for number in (1, 2, 3):
        config = fine_tune(number, "emoji-mini")
        rates = [config.optimizer.rate(role) for role in config.stage.trainable]
        assert max(rates) <= 5e-4 and config.data.batch_size >= 8 and config.epochs is not None


def test_only_what_a_model_has_is_fine_tuned() -> None:
    assert fine_tune(2, "cascade-mini").stage.trainable == ("signal_rows",)
    with pytest.raises(ValueError, match="cascade-mini has nothing that stage 1 trains"):
        fine_tune(1, "cascade-mini")


def test_a_model_without_adapters_is_fine_tuned_without_them(tmp_path: Path) -> None:
    start = tiny_model(lora=None).save_pretrained(tmp_path / "model")
    assert "lora" not in fine_tune(3, str(start)).stage.trainable


def test_wrong_settings_of_a_checkpoint_are_named(tmp_path: Path) -> None:
    model = tiny_model(fine_tuning={"optimiser.rate": 1.0})
    start = model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="unknown config key 'optimiser"):
        fine_tune(2, str(start))
