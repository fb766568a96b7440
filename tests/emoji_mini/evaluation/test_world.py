"""The benchmark on scripted conversations: a perfect one, a silent one, one that always draws."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave.messages import Message, Text
from emoji_mini.evaluation import run as run_module
from emoji_mini.evaluation.report import Sample, contact_sheet
from emoji_mini.evaluation.run import evaluate_world, questions, run_world
from emoji_mini.evaluation.tasks.world import TASKS, Question
from emoji_mini.world.draft import as_part
from emoji_mini.world.scenes import AudioScene, ImageScene, Scene, VideoScene
from emoji_mini.world.verifiers import AudioVerdict, ImageVerdict, VideoVerdict

TRIALS = 4


class Oracle:
    """Verifiers that know every render made by `perfect`, so that the test needs no weights."""

    def __init__(self) -> None:
        self.scenes: dict[bytes, Scene] = {}

    def _scene(self, array: np.ndarray) -> Scene:
        return self.scenes[array.tobytes()]

    def judge_images(self, pictures: Sequence[np.ndarray]) -> list[ImageVerdict]:
        verdicts = []
        for picture in pictures:
            scene = self._scene(picture)
            assert isinstance(scene, ImageScene)
            a, b = scene.object, scene.other or "none"
            first, second = {a: 1.0, b: 0.0}, {a: 0.0, b: 1.0}
            places = {"left of": (0, 1), "right of": (1, 0), "above": (2, 3), "below": (3, 2)}
            sides = [first] * 4
            if scene.relation is not None:
                sides[places[scene.relation][1]] = second
            presence = {a: 1.0, b: 0.9 if scene.other else 0.0}
            verdicts.append(
                ImageVerdict(
                    presence=presence,
                    sides=tuple(sides),
                    count=scene.count,
                    background=scene.background,
                )
            )
        return verdicts

    def judge_videos(self, clips: Sequence[np.ndarray]) -> list[VideoVerdict]:
        scene = self._scene(clips[0])
        assert isinstance(scene, VideoScene)
        return [
            VideoVerdict(
                presence={scene.object: 1.0}, motion=scene.motion, background=scene.background
            )
        ]

    def judge_audios(self, waves: Sequence[np.ndarray]) -> list[AudioVerdict]:
        scene = self._scene(waves[0])
        assert isinstance(scene, AudioScene)
        ends = (scene.sounds[0], scene.sounds[-1])
        presence = {name: 1.0 for name in scene.sounds}
        return [AudioVerdict(presence=presence, halves=({ends[0]: 1.0}, {ends[1]: 1.0}))]


class Script:
    def __init__(self, reply: Message) -> None:
        self._reply = reply

    def reply(self, message: Message) -> Message:
        return self._reply


def _key(message: Message) -> str:
    return message.text + "|".join(str(part.caption) for part in message.media())


def _all_questions(tasks: Sequence[str]) -> dict[str, Question]:
    found: dict[str, Question] = {}
    for name in tasks:
        for question in questions(TASKS[name], TRIALS, seed=0):
            found["".join(_key(m) for m in (*question.history, question.message))] = question
    return found


def _perfect(known: dict[str, Question], oracle: Oracle) -> Any:
    def make(options: Any, history: tuple[Message, ...]) -> Any:
        class Perfect:
            def reply(self, message: Message) -> Message:
                question = known["".join(_key(m) for m in (*history, message))]
                if not question.wanted:
                    about = question.scenes[0].caption if question.scenes else "nothing"
                    return Message("assistant", f"I see {about}.")
                parts: list[Any] = []
                for scene in question.scenes:
                    part = as_part(scene, rendered=True)
                    oracle.scenes[part.source.tobytes()] = scene
                    parts += [Text(f"Here is {scene.caption}."), part]
                return Message("assistant", parts)

        return Perfect()

    return make


def _always(reply: Message) -> Any:
    return lambda options, history: Script(reply)


@pytest.fixture(autouse=True)
def _known_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"clean": {"object": {"accuracy": 0.99, "trials": 7}}}
    monkeypatch.setattr(run_module, "accuracy", lambda: {"image": own})


def test_perfect_replies_score_one(tmp_path: Path) -> None:
    oracle = Oracle()
    ticks: list[str] = []
    report = evaluate_world(
        object(),
        num_trials=TRIALS,
        session=_perfect(_all_questions(list(TASKS)), oracle),
        verifiers=oracle,  # type: ignore[arg-type]
        tick=ticks.append,
    )
    assert set(report.tasks) == set(TASKS)
    for name, task in report.tasks.items():
        for fact, figure in task.figures.items():
            assert figure.share == 1.0, (name, fact)
    assert report.decisions.f1 == 1.0
    assert report.decisions.exact_share.share == 1.0
    assert report.decisions.false_draw_share.successes == 0
    assert len(ticks) == TRIALS * len(TASKS)
    folder = report.save(tmp_path / "report")
    saved = json.loads((folder / "report.json").read_text())
    assert saved["tasks"]["make image"]["figures"]["object"]["trials"] == TRIALS
    answers = (folder / "answers.jsonl").read_text().splitlines()
    assert len(answers) == TRIALS * len(TASKS)
    assert all(all(json.loads(line)["right"].values()) for line in answers)
    table = (folder / "report.md").read_text()
    assert "0.990 (n=7)" in table and "| make image | object |" in table
    assert (folder / "image.png").is_file() and (folder / "video.png").is_file()


def test_silence_scores_nothing_but_makes_no_false_draw() -> None:
    report = evaluate_world(
        object(),
        num_trials=TRIALS,
        tasks=["make image", "talk"],
        session=_always(Message("assistant", "Hm.")),
        verifiers=Oracle(),  # type: ignore[arg-type]
    )
    assert all(f.successes == 0 for f in report.tasks["make image"].figures.values())
    assert report.tasks["talk"].figures["words_alone"].share == 1.0
    assert report.decisions.recall == 0.0
    assert report.decisions.precision is None
    assert report.decisions.false_draw_share.share == 0.0


def test_drawing_always_is_a_false_draw() -> None:
    oracle = Oracle()
    scene = ImageScene(object="dog", background="grass")
    part = as_part(scene, rendered=True)
    oracle.scenes[part.source.tobytes()] = scene
    report = evaluate_world(
        object(),
        num_trials=TRIALS,
        tasks=["talk", "decline", "make audio"],
        session=_always(Message("assistant", ["Look.", part])),
        verifiers=oracle,  # type: ignore[arg-type]
    )
    assert report.decisions.false_draw_share.share == 1.0
    assert report.decisions.precision == 0.0 and report.decisions.recall == 0.0
    assert report.tasks["make audio"].figures["given"].share == 0.0


def test_questions_are_fixed_and_of_the_test_split() -> None:
    for task in TASKS.values():
        first = list(questions(task, 3, seed=1))
        assert [q.message for q in first] == [q.message for q in questions(task, 3, seed=1)]
        for question in first:
            assert question.message.role == "user"
            if task.name.startswith("make ") and task.name != "make several":
                assert [scene.split for scene in question.scenes] == ["test"]
            if task.name == "follow up":
                assert question.wanted


def test_mistakes_are_answered() -> None:
    with pytest.raises(ValueError, match="make image"):
        evaluate_world(object(), tasks=["draw"], verifiers=Oracle())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="num_trials"):
        evaluate_world(object(), num_trials=0)


def test_run_world_saves_its_report(tmp_path: Path) -> None:
    report = run_world(
        object(),
        tmp_path,
        num_trials=2,
        tasks=["talk"],
        session=_always(Message("assistant", "Hello!")),
        verifiers=Oracle(),
    )
    assert json.loads((tmp_path / "report.json").read_text()) == report.to_dict()
    assert not (tmp_path / "image.png").exists()


def test_contact_sheet() -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    samples = [
        Sample("image", (picture,), "a dog on a white background", n % 2 == 0) for n in range(7)
    ]
    sheet = contact_sheet(samples)
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * 168, 6 * 140, 3)
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])


def test_a_real_session_can_be_asked() -> None:
    """The tiny random model answers: the benchmark and the chat fit together."""
    from anyweave.testing.model import tiny_model

    class Anything(Oracle):
        def _scene(self, array: np.ndarray) -> Scene:
            return (
                ImageScene(object="dog")
                if array.ndim == 3
                else VideoScene(object="dog", motion="rising")
            )

        def judge_audios(self, waves: Sequence[np.ndarray]) -> list[AudioVerdict]:
            return [AudioVerdict(presence={"dog": 1.0}, halves=({"dog": 1.0}, {"dog": 1.0}))]

    report = evaluate_world(
        tiny_model(),
        num_trials=1,
        options=run_module.GenerationOptions(max_new_tokens=4, temperature=0.0),
        verifiers=Anything(),  # type: ignore[arg-type]
    )
    assert report.model == "tiny"


def test_reports_are_not_mixed(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("of an earlier one")
    (tmp_path / "image.png").write_text("of an earlier one")
    how = {"session": _always(Message("assistant", "Hi!")), "verifiers": Oracle()}
    with pytest.raises(ValueError, match=r"earlier reports \(image.png, report.md\)"):
        run_world(object(), tmp_path, num_trials=1, tasks=["talk"], **how)
    run_world(object(), tmp_path, num_trials=1, tasks=["talk"], overwrite=True, **how)
    assert json.loads((tmp_path / "report.json").read_text())["num_trials"] == 1
    assert not (tmp_path / "image.png").exists()
