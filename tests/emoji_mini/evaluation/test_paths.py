"""Paths compared: the same questions for all, held-out, and what the change asks for."""

from __future__ import annotations

from typing import Any

import pytest

from anyweave.generation import GenerationOptions
from anyweave.testing.model import tiny_model
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.evaluation.paths import TASKS, compare_paths, questions


class Blind:
    """Judges who find the thing right and the rest wrong."""

    def judge(self, scene: Any, part: Any) -> dict[str, bool]:
        facts = {"object": part is not None, "count": False}
        return facts | ({"relation": False} if scene.relation else {})


@pytest.mark.parametrize("task", TASKS)
def test_questions_are_held_out_and_always_the_same(task: str) -> None:
    asked = list(questions(task, 12, 3))
    assert [q.message.text for q in asked] == [q.message.text for q in questions(task, 12, 3)]
    for question in asked:
        (scene,) = question.scenes
        assert isinstance(scene, PictureScene) and scene.split == "test"
        assert (scene.relation is not None) == (task == "spatial")
        assert (scene.count > 1) or task != "counting"
        assert bool(question.message.media()) == (task == "like this picture, but")
        assert len(question.history) == (4 if task == "reference to an earlier turn" else 0)
        before = [part.caption for m in (*question.history, question.message) for part in m.media()]
        assert scene.caption not in before  # something is otherwise


def test_a_table_of_two_paths() -> None:
    models: dict[str, Any] = {
        "signal": tiny_model(),
        "caption": tiny_model(bridge="caption"),
        "blind": tiny_model(encoders=()),
    }
    options = GenerationOptions(
        max_new_tokens=2, temperature=0.0, force=("image",), max_media=1, num_inference_steps=1
    )
    found = compare_paths(
        models,
        settings={"model": "tiny", "trials": 2},
        trials=2,
        options=options,
        judges=Blind(),  # type: ignore[arg-type]
    )
    assert list(found.columns) == ["signal", "caption", "blind"]
    read = {name.partition(":")[0] for name in found.columns["blind"].figures}
    assert read == {"counting", "spatial", "reference to an earlier turn"}
    assert "| like this picture, but: count | 2 |" in found.to_markdown()
    figures = found.columns["caption"].figures
    assert figures["counting: all right, minus signal's"].value == 0.0
    assert figures["spatial: relation"].trials == 2
    assert "anyweave eval paths --model tiny --trials 2" in found.to_markdown()
    with pytest.raises(ValueError, match="two models"):
        compare_paths({"signal": None}, settings={})
