"""Variants of a checkpoint: one thing differs, the rest is shared; nothing is trained twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from anyweave.model import NextGPT
from anyweave.testing.model import tiny_model
from anyweave.training.config import TrainConfig
from emoji_mini import variants
from emoji_mini.ablation_recipes import bridges, input_projectors, losses, signal_tokens
from emoji_mini.variants import start, trained

SCENES = {"image": 4, "video": 2, "audio": 2}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    model = tiny_model(folder / "parts")
    with torch.no_grad():
        for parameter in model.parameters_of("lora").values():
            parameter.add_(0.05)
    return str(model.save_pretrained(folder / "model"))


def _same(one: NextGPT, other: NextGPT, role: str) -> bool:
    left, right = one.parameters_of(role), other.parameters_of(role)  # type: ignore[arg-type]
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_input_projectors_differ_in_the_projector_alone(base: str) -> None:
    made = input_projectors(base, steps=2, seed=1, scenes=SCENES)
    assert [variant.name for variant in made] == ["grouping", "linear", "qformer"]
    models = [start(**variant.start) for variant in made]
    whole = NextGPT.from_pretrained(base)
    for model, variant in zip(models, made, strict=True):
        assert model.spec.input_projector_for("image").type == variant.name
        assert set(model.processor.num_input_tokens.values()) == {3}
        assert _same(model, models[0], "lora") and not _same(model, whole, "lora")
    assert len({variant.lesson for variant in made}) == 1
    configs = [variant.config for variant in made]
    assert all(isinstance(config, TrainConfig) for config in configs)
    plain = [replace(c, name="", model=configs[0].model) for c in configs if c and configs[0]]
    assert plain[0] == plain[1] == plain[2]


def test_signal_tokens_keep_what_announces_media(base: str) -> None:
    one, five = (start(**v.start) for v in signal_tokens(base, steps=2, counts=(1, 5)))
    whole = NextGPT.from_pretrained(base)
    assert set(five.spec.signal_tokens.values()) == {5} and five.spec.bridge == "signal"
    assert five.processor.signals.total == 15
    for role in ("input_projectors", "lora"):
        assert _same(one, whole, role) and _same(five, whole, role)
    assert _same(one, five, "output_projectors")


def test_losses_differ_in_the_losses_alone(base: str) -> None:
    made = {variant.name: variant.config for variant in losses(base, steps=2)}
    weighed = {name: set(config.stage.losses) for name, config in made.items() if config}
    assert weighed == {
        "alignment": {"lm", "alignment"},
        "denoising": {"lm", "denoising"},
        "both": {"lm", "alignment", "denoising"},
    }
    first = made["both"]
    assert first is not None and first.objective.denoising_fraction == 1.0
    assert first.data.args["with_media"] == ["image"]  # there is something to denoise
    for name, config in made.items():
        assert config is not None
        same = replace(config, name="both", stage=first.stage, model=first.model)
        assert same == first, name


def test_bridges_are_the_base_itself(base: str) -> None:
    signal, caption = (start(**variant.start) for variant in bridges(base))
    assert (signal.spec.bridge, caption.spec.bridge) == ("signal", "caption")
    assert _same(signal, NextGPT.from_pretrained(base), "output_projectors")


def test_a_variant_is_trained_once(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linear = input_projectors(base, steps=1, scenes=SCENES)[1]
    folder, cache = tmp_path / "linear", tmp_path / "cache"
    first = trained(linear, folder, cache)
    assert not _same(first, start(**linear.start), "input_projectors")
    assert not _same(first, NextGPT.from_pretrained(folder / "start"), "input_projectors")
    monkeypatch.setattr(variants, "run", None)
    monkeypatch.setattr(variants, "warm_up", None)
    assert _same(trained(linear, folder, cache), first, "input_projectors")
    with pytest.raises(ValueError, match="holds another run of this variant: its config, lesson"):
        trained(input_projectors(base, steps=3, scenes=SCENES)[1], folder, cache)


def test_mistakes_are_answered(base: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no key 'projector'"):
        start(base, {"projector": {}})
    with pytest.raises(ValueError, match="weights and spec.json are of different models"):
        start(base, {"signal_tokens": {"image": 1, "video": 1, "audio": 1}, "lora": None}, ["lora"])
    linear = trained(bridges(base)[0], tmp_path / "any", tmp_path)
    other = start(base, {"input_projector": {"type": "linear"}})
    assert linear.spec.input_projector_for("image").type == "grouping"
    path = other.save_pretrained(tmp_path / "linear")
    with pytest.raises(ValueError, match="starts from a model with one grouping projector"):
        input_projectors(str(path))
