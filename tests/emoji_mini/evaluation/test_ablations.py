"""Ablations from end to end on the tiny model: seconds, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anyweave.evaluation.metrics import Figure, Proportion, Ratio
from anyweave.testing.model import tiny_model
from emoji_mini import ablation_recipes as recipes
from emoji_mini.emoji_world.scenes import SoundScene
from emoji_mini.evaluation import ablations
from emoji_mini.evaluation.ablations import ABLATIONS, run_ablation
from emoji_mini.evaluation.comparison import Comparison, Measured


class Blind:
    """Judges who find everything right: no weights."""

    def judge(self, scene: Any, part: Any, free: Any = ()) -> dict[str, bool]:
        return {"sound" if isinstance(scene, SoundScene) else "object": part is not None}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("base")
    return str(tiny_model().save_pretrained(folder / "model"))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "LESSON_SCENES", {"image": 4, "video": 2, "audio": 2})
    monkeypatch.setattr(recipes, "SIGNAL_COUNTS", (1, 2))
    monkeypatch.setattr(ablations, "MAX_NEW_TOKENS", 3)


def _run(
    name: str, base: str, folder: Path, trials: int = 1, overwrite: bool = False
) -> Comparison:
    return run_ablation(
        name,
        folder / "runs",
        report=folder / "report",
        base=base,
        steps=1,
        trials=trials,
        judges=Blind(),  # type: ignore[arg-type]
        overwrite=overwrite,
    )


def test_input_projectors_side_by_side(base: str, tmp_path: Path) -> None:
    found = _run("input-projector", base, tmp_path)
    assert list(found.columns) == ["grouping", "linear", "qformer"]
    for column in found.columns.values():
        loss = column.figures["caption loss, video (nats per token)"]
        assert loss.value and loss.interval and loss.interval[0] <= loss.value <= loss.interval[1]
        assert loss.trials == 4 and column.figures["sound named, audio"].trials == 1
    sizes = [column.parameters["input_projectors"] for column in found.columns.values()]
    assert len(set(sizes)) == 3
    assert len({column.parameters["lora"] for column in found.columns.values()}) == 1
    table = (tmp_path / "report" / "input-projector.md").read_text()
    assert "| measure | trials | grouping | linear | qformer |" in table
    assert f"anyweave eval ablation input-projector --model {base} --steps 1 --trials 1" in table
    # Frozen features are made once for all three.
    cached = [path for path in (tmp_path / "runs" / "cache").rglob("*") if path.is_file()]
    assert cached and (tmp_path / "runs" / "linear" / "describe" / "answers.jsonl").is_file()


def test_signal_tokens_are_measured_once(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _run("signal-tokens", base, tmp_path)
    assert list(found.columns) == ["1", "2"]
    one, two = found.columns.values()
    for modality in ("image", "video", "audio"):
        error = one.figures[f"alignment error, {modality} (share of variance)"]
        assert error.value and error.trials == 4
    assert one.parameters["signal_rows"] * 2 == two.parameters["signal_rows"]
    assert one.figures["object right, generated image"].trials == 1

    saved = json.loads((tmp_path / "report" / "signal-tokens.json").read_text())
    monkeypatch.setattr(ablations, "run_world", None)
    monkeypatch.setattr(ablations, "held_out_losses", None)
    assert json.loads(json.dumps(_run("signal-tokens", base, tmp_path).to_dict())) == saved
    with pytest.raises(ValueError, match="not replacing it.*--overwrite"):
        _run("signal-tokens", base, tmp_path, trials=2)
    with pytest.raises(TypeError, match="not callable"):  # more trials have to be measured
        _run("signal-tokens", base, tmp_path, trials=2, overwrite=True)


def test_bridges_need_no_training(base: str, tmp_path: Path) -> None:
    found = _run("bridge", base, tmp_path)
    assert list(found.columns) == ["signal", "caption"]
    assert found.columns["signal"].parameters == {}
    report = json.loads((tmp_path / "runs" / "caption" / "make-audio" / "report.json").read_text())
    assert report["settings"]["bridge"] == "caption"


@pytest.mark.slow
def test_losses_side_by_side(base: str, tmp_path: Path) -> None:
    found = _run("losses", base, tmp_path)
    assert list(found.columns) == ["alignment", "denoising", "both"]
    sizes = [column.parameters for column in found.columns.values()]
    assert sizes[0] == sizes[1] == sizes[2] and set(sizes[0]) == {
        "output_projectors",
        "signal_rows",
    }
    errors = {
        column.figures["alignment error, image (share of variance)"].value
        for column in found.columns.values()
    }
    assert len(errors) == 3  # each learned something else


def test_a_table_says_what_was_not_tried() -> None:
    columns = {
        "a": Measured(parameters={"lora": 1200}, figures={"x": Figure.of(Proportion(3, 4))}),
        "b": Measured(parameters={"lora": 7}, figures={"x": Figure.of(Ratio(()))}),
    }
    settings = {"base": "emoji-mini", "steps": 2}
    made = Comparison(name="n", title="T", about="A.", settings=settings, columns=columns)
    assert "| x | 4 | 0.75 [0.30, 0.95] | not tried |" in made.to_markdown()
    assert "| parameters, lora | | 1,200 | 7 |" in made.to_markdown()


def test_mistakes_are_answered(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=", ".join(ABLATIONS)):
        run_ablation("size", tmp_path)
    with pytest.raises(ValueError, match="at least 1, got steps=0"):
        run_ablation("bridge", tmp_path, steps=0)
