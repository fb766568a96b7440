"""The benchmark on scripted conversations: a perfect one, a silent one, one that always draws; what
a reply counts for, and that a killed run goes on.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from anyweave.generation import GenerationOptions
from anyweave.messages import Image, Message
from anyweave.testing.model import tiny_model
from emoji_mini.emoji_talk.talk import as_part, modality_of
from emoji_mini.emoji_world.render import PICTURE_SIZE, boxes, render_picture
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.evaluation import run as run_module
from emoji_mini.evaluation.changing import CHANGES, changing, errors, is_bigger
from emoji_mini.evaluation.report import contact_sheet
from emoji_mini.evaluation.run import evaluate_world, run_world
from emoji_mini.evaluation.scoring import score
from emoji_mini.evaluation.trials import TASKS, Trial
from emoji_mini.parts.seeing import PictureVerdict, Seen

TRIALS = 3


def _seen(scene: PictureScene) -> PictureVerdict:
    things = []
    for name, (left, top, right, bottom) in boxes(scene):
        x, y = (left + right) / 2 / PICTURE_SIZE, (top + bottom) / 2 / PICTURE_SIZE
        things.append(Seen(name, x, y, 1.0))
    return PictureVerdict(tuple(things), scene.background)


class Trusting:
    """Judges who take a medium for what its caption says, and see one thing in the middle."""

    def __init__(self) -> None:
        self.pictures = self

    def judge(self, scene: Any, part: Any, free: Any = ()) -> dict[str, bool]:
        return {"object": part is not None and part.caption == scene.caption}

    def look(self, pictures: Any) -> list[PictureVerdict]:
        return [PictureVerdict((Seen("dog", 0.5, 0.5, 1.0),), "white") for _ in pictures]


JUDGES: Any = Trusting()


def _perfect(trial: Trial, rendered: bool = False) -> Message:
    """The reply that is wanted."""
    if trial.unknown:
        return Message("assistant", "I have never learned to draw that.")
    if trial.told and not trial.wanted:
        return Message("assistant", f"I see {trial.told[0].caption}.")
    drawn = [as_part(scene, rendered=rendered or trial.kept is not None) for scene in trial.scenes]
    return Message("assistant", [part for one in drawn for part in ("Here:", one)] or "Gladly.")


class Script:
    """A session that says what it is told; `asked` counts."""

    asked = 0

    def __init__(self, known: dict[str, Message] | None, always: Message | None = None) -> None:
        self.known, self.always = known, always

    def __call__(self, options: Any, history: tuple[Message, ...]) -> Any:
        before = "".join(map(run_module.in_words, history))

        def reply(message: Message) -> Message:
            self.asked += 1
            if self.always is not None:
                return self.always
            assert self.known is not None
            return self.known[before + run_module.in_words(message)]

        return SimpleNamespace(reply=reply)


def _knowing(tasks: list[str], rendered: bool) -> Script:
    known = {}
    for name in tasks:
        for trial in TASKS[name].trials(TRIALS, 0):
            said = "".join(map(run_module.in_words, (*trial.history, trial.message)))
            known[said] = _perfect(trial, rendered)
    return Script(known)


@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_reply_is_right_in_every_figure(task: str) -> None:
    trials = list(TASKS[task].trials(6, 0))
    assert len(trials) == 6
    for trial in trials:
        facts = dict(score(trial, _perfect(trial), JUDGES).facts)
        facts.pop("bigger", None)  # the perfect reply here is the picture as it was
        assert facts and all(facts.values()), facts
    assert [t.message for t in TASKS[task].trials(2, 0)] == [t.message for t in trials[:2]]


def test_wrong_replies_are_wrong() -> None:
    (picture,) = TASKS["everyday image"].trials(1, 0)
    refused = score(picture, Message("assistant", "I cannot draw that."), JUDGES).facts
    assert refused["not declined"] is False and not any(refused.values())
    (words,) = TASKS["everyday words"].trials(1, 0)
    drawn = Message("assistant", ["Look!", Image(None, caption="a dog")])
    assert score(words, drawn, JUDGES).facts == {"words alone": False, "says something": True}
    (unknown,) = TASKS["everyday unknown"].trials(1, 0)
    assert score(unknown, drawn, JUDGES).facts == {"declined or openly replaced": False}
    several = next(
        trial
        for trial in TASKS["make several"].trials(20, 1)
        if len(trial.scenes) == 2 and len({modality_of(scene) for scene in trial.scenes}) == 2
    )
    backwards = Message("assistant", list(reversed(_perfect(several).media())))
    assert score(several, backwards, JUDGES).facts["order"] is False


def test_a_report_of_perfect_replies(tmp_path: Path) -> None:
    tasks = ["everyday image", "everyday words", "make image", "make video", "talk"]
    report = run_world(
        object(),
        tmp_path,
        num_trials=TRIALS,
        tasks=tasks,
        session=_knowing(tasks, rendered=True),
        judges=JUDGES,
    )
    for name, task in report.tasks.items():
        assert all(figure.share == 1.0 for figure in task.figures.values()), name
    assert report.decisions.f1 == 1.0 and report.decisions.replies == 2 * TRIALS
    assert json.loads((tmp_path / "report.json").read_text()) == report.to_dict()
    table = (tmp_path / "report.md").read_text()
    assert f"| make image | object | 1.00 [0.44, 1.00] | {TRIALS} |" in table
    assert "(n=" in table.split("| make image | object |")[1].splitlines()[0]  # the judge's own
    assert (tmp_path / "image.png").is_file() and (tmp_path / "video.png").is_file()


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    how: dict[str, Any] = {"num_trials": TRIALS, "tasks": ["talk", "make audio"], "judges": JUDGES}
    script = Script(None, Message("assistant", "Hm."))

    def killed(task: str) -> None:
        if script.asked == TRIALS + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_world(object(), tmp_path, session=script, tick=killed, **how)
    assert not (tmp_path / "report.json").exists()
    ticks: list[str] = []
    report = evaluate_world(object(), tmp_path, session=script, tick=ticks.append, **how)
    assert script.asked == 2 * TRIALS == len(ticks)
    assert report.tasks["make audio"].figures["object"].trials == TRIALS
    whole = evaluate_world(object(), session=Script(None, script.always), **how)
    assert whole.tasks["talk"].figures == report.tasks["talk"].figures
    with pytest.raises(ValueError, match="not mixing them"):
        evaluate_world(object(), tmp_path, session=script, seed=1, **how)
    evaluate_world(object(), tmp_path, session=script, seed=1, overwrite=True, **how)
    assert script.asked == 4 * TRIALS


def test_silence_draws_nothing_and_drawing_always_is_false() -> None:
    tasks = ["everyday words", "everyday audio", "make image"]
    how: dict[str, Any] = {"num_trials": TRIALS, "tasks": tasks, "judges": JUDGES}
    silent = evaluate_world(object(), session=Script(None, Message("assistant", "Hm.")), **how)
    right = silent.tasks["make image"].figures
    assert right["not declined"].share == 1.0 and right["object"].share == 0.0
    assert silent.decisions.recall == 0.0 and silent.decisions.precision is None
    assert silent.decisions.false_draw_share.share == 0.0
    pixels = np.zeros((8, 8, 3), np.uint8)
    drawn = Message("assistant", ["Look.", Image(pixels, caption="a dog")])
    always = evaluate_world(object(), session=Script(None, drawn), **how)
    assert always.decisions.false_draw_share.share == 1.0
    assert always.decisions.precision == 0.0 == always.decisions.recall


@pytest.mark.parametrize("change", CHANGES)
def test_what_should_stay_is_measured(change: str) -> None:
    message, kept, following = next(changing(change, 1, 0))
    assert following.split == "test" and len(message.media()) == 1
    true = errors(kept, following, _seen(following), render_picture(following))
    assert true["colour error"] < 0.01 and true["place error"] < 0.02
    moved = PictureVerdict(
        tuple(Seen(s.name, s.x + 0.3, s.y, 1.0) for s in _seen(following).things), "white"
    )
    inverted = 255 - render_picture(following)
    wrong = errors(kept, following, moved, inverted)
    assert wrong["place error"] == pytest.approx(0.3, abs=0.02) and wrong["colour error"] > 0.2
    assert "place error" not in errors(kept, following, PictureVerdict((), ""), inverted)
    (trial,) = TASKS[f"same but {change}"].trials(1, 0)
    found = score(trial, _perfect(trial), JUDGES).errors
    assert found["colour error"] < found["colour error, drawn anew from the words"]


def test_bigger_is_seen() -> None:
    small, large = (
        next(
            scene
            for scene in (PictureScene(object="dog", background="grass", seed=n) for n in range(99))
            if low < boxes(scene)[0][1][2] - boxes(scene)[0][1][0] < high
        )
        for low, high in ((0, 66), (84, 128))
    )
    assert not is_bigger(small, render_picture(small))
    ground = render_picture(small).copy()
    box = boxes(large)[0][1]
    ground[box[1] : box[3], box[0] : box[2]] = 0
    assert is_bigger(small, ground)


def test_a_real_session_can_be_asked() -> None:
    """The tiny random model answers: the benchmark and the chat fit together."""
    report = evaluate_world(
        tiny_model(),
        num_trials=1,
        tasks=["describe image", "make image", "follow up", "same but bigger"],
        options=GenerationOptions(max_new_tokens=2, temperature=0.0, force=("image",), max_media=1),
        judges=JUDGES,
    )
    assert report.settings["model"] == "tiny"
    assert report.tasks["same but bigger"].errors["place error"].trials == 1


def test_mistakes_are_answered(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make image"):
        evaluate_world(object(), tasks=["draw"], judges=JUDGES)
    with pytest.raises(ValueError, match="num_trials"):
        evaluate_world(object(), num_trials=0)
    (tmp_path / "report.md").write_text("of an earlier program")
    with pytest.raises(ValueError, match=r"earlier reports \(report.md\)"):
        run_world(object(), tmp_path, tasks=["talk"], session=Script(None), judges=JUDGES)
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
