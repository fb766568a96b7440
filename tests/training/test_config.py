from __future__ import annotations

from collections.abc import Callable

import pytest

from anyweave.training.config import TrainConfig
from anyweave.training.recipes import RECIPES, load_recipe
from anyweave.training.stages import STAGES, Stage

MakeConfig = Callable[..., TrainConfig]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json(name: str) -> None:
    recipe = load_recipe(name)
    assert TrainConfig.from_dict(recipe.to_dict()) == recipe


def test_paper_recipes_have_table_7() -> None:
    found = [load_recipe(f"paper-7b-{number}") for number in (1, 2, 3)]
    assert [c.optimizer.learning_rate for c in found] == [4e-4, 4e-4, 5e-4]
    assert [c.data.batch_size for c in found] == [18, 8, 4]
    assert [c.optimizer.weight_decay for c in found] == [1e-3] * 3
    assert [c.optimizer.warmup_ratio for c in found] == [0.1] * 3
    assert {c.data.max_length for c in found} == {512} and {c.epochs for c in found} == {1}


def test_small_memory_changes_neither_batches_nor_rates() -> None:
    for number in (1, 2, 3):
        large, small = (load_recipe(f"{name}-{number}") for name in ("paper-7b", "paper-7b-24gb"))
        assert small.data.batch_size * small.grad_accumulation == large.data.batch_size
        assert small.optimizer == large.optimizer
        assert small.model.args == {"quantization": "nf4"}
        assert "denoising" not in small.stage.losses
        assert small.stage.trainable == large.stage.trainable


def test_setting_steps_unsets_epochs_and_the_other_way_round(config: MakeConfig) -> None:
    by_epochs = config().with_overrides(["epochs=2"])
    assert (by_epochs.steps, by_epochs.epochs) == (None, 2.0)
    by_steps = by_epochs.with_overrides(["steps=7"])
    assert (by_steps.steps, by_steps.epochs) == (7, None)
    with pytest.raises(ValueError, match="steps"):
        by_steps.with_overrides(["steps=null"])


def test_overrides_are_typed(config: MakeConfig) -> None:
    changed = config().with_overrides(
        [
            "optimizer.learning_rate=1e-4",
            "optimizer.learning_rates.lora=2e-4",
            "optimizer.betas=[0.8, 0.9]",
            "objective.alignment_weights.video=0.5",
            "objective.snr_gamma=none".replace("none", "null"),
            "data.args.path=some/file.jsonl",
            "data.bucketing=false",
            "stage=decoding_alignment",
            'sample_prompts=["hi"]',
            "cache_dir=cache",
        ]
    )
    assert changed.optimizer.learning_rate == 1e-4
    assert changed.optimizer.rate("lora") == 2e-4
    assert changed.optimizer.rate("signal_rows") == 1e-4
    assert changed.optimizer.betas == (0.8, 0.9)
    assert changed.objective.alignment_weights == {"video": 0.5}
    assert changed.objective.snr_gamma is None
    assert changed.data.args == {"path": "some/file.jsonl"}
    assert changed.data.bucketing is False
    assert changed.stage is STAGES["decoding_alignment"]
    assert changed.sample_prompts == ("hi",)
    assert changed.cache_dir == "cache"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        (
            "optimizer.lerning_rate=1",
            "unknown config key 'optimizer.lerning_rate'; did you mean 'learning_rate'",
        ),
        ("stpes=3", "unknown config key 'stpes'; did you mean 'steps'"),
        ("steps=many", "steps takes int, got 'many'"),
        ("data.batch_size=2.5", "data.batch_size takes int, got 2.5"),
        ("data.bucketing=1", "data.bucketing takes bool, got 1"),
        ("data.batch_size=0", "data.batch_size must be at least 1, got 0"),
        ("precision=bf61", "precision: unknown value 'bf61'; did you mean 'bf16'?"),
        ("stage=decoding_alinment", "did you mean 'decoding_alignment'?"),
        ("optimizer.learning_rates.loar=1", "did you mean 'lora'?"),
        ("objective.alignment_weights.img=1", "unknown value 'img'"),
        ("steps.more=1", "'steps' is a plain value"),
        ("steps", "--set takes key=value, got 'steps'"),
        ("steps=null", "set exactly one of steps and epochs"),
    ],
)
def test_bad_overrides_say_what_to_do(config: MakeConfig, assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("[", r"\[").replace("?", r"\?")):
        config().with_overrides([assignment])


def test_from_dict_is_strict(config: MakeConfig) -> None:
    values = config().to_dict()
    with pytest.raises(ValueError, match="unknown config key 'optimizer.momentum'"):
        TrainConfig.from_dict({**values, "optimizer": {"momentum": 0.9}})
    with pytest.raises(ValueError, match="lacks a required key"):
        TrainConfig.from_dict({name: value for name, value in values.items() if name != "model"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"trainable": ("loar",)}, "unknown role 'loar'; did you mean 'lora'"),
        ({"trainable": ()}, "names no role"),
        (
            {"trainable": ("lora",), "losses": {"denoise": 1}},
            "unknown loss 'denoise'; did you mean 'denoising'",
        ),
        ({"trainable": ("lora",), "losses": {"lm": -1.0}}, "has weight -1"),
    ],
)
def test_bad_stages(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stage(name="x", **arguments)


def test_unknown_recipes() -> None:
    with pytest.raises(ValueError, match="unknown recipe 'tiny-4'; did you mean 'tiny-"):
        load_recipe("tiny-4")
    with pytest.raises(ValueError, match="no recipe function 'anyweave.nowhere:recipe'"):
        load_recipe("anyweave.nowhere:recipe")
