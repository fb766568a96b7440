"""The benchmark of version 1: what is asked, and how a reply counts."""

from __future__ import annotations

from typing import Any

from anyweave.messages import Image, Message
from emoji_mini.emoji_talk.talk import as_part, modality_of
from emoji_mini.evaluation.version1 import (
    Trial,
    follow_up_trials,
    held_out_trials,
    scene_trials,
    score,
)


class _Trusting:
    """Judges who take a medium for what its caption says."""

    def judge(self, scene: Any, part: Any, free: Any = ()) -> dict[str, bool]:
        return {"object": part is not None and part.caption == scene.caption}


JUDGES: Any = _Trusting()


def _perfect(trial: Trial) -> Message:
    """The reply that is wanted."""
    if trial.unknown:
        return Message("assistant", "I have never learned to draw that.")
    if trial.told and not trial.wanted:
        return Message("assistant", f"I see {trial.told[0].caption}.")
    parts = [part for scene in trial.scenes for part in ("Here:", as_part(scene, rendered=False))]
    return Message("assistant", parts or "Gladly.")


def test_a_perfect_reply_is_right_in_every_figure() -> None:
    trials = [*held_out_trials(), *follow_up_trials(12, 0)]
    for task in ("read picture", "read sound", "make clip", "make several", "cross"):
        asked = list(scene_trials(task, 12, 0))
        assert len(asked) == 12
        trials += asked
    assert len({trial.task for trial in trials}) > 10
    for trial in trials:
        facts = score(trial, _perfect(trial), JUDGES)
        assert facts and all(facts.values()), (trial.task, facts)


def test_wrong_replies_are_wrong() -> None:
    trials = list(held_out_trials())
    picture = next(trial for trial in trials if trial.task == "asked: picture")
    refused = score(picture, Message("assistant", "I cannot draw that."), JUDGES)
    assert not any(refused.values())
    words = next(trial for trial in trials if trial.task == "asked: words")
    drawn = Message("assistant", ["Look!", Image(None, caption="a dog")])
    assert score(words, drawn, JUDGES) == {"words alone": False, "says something": True}
    unknown = next(trial for trial in trials if trial.unknown)
    assert score(unknown, drawn, JUDGES) == {"declined or openly replaced": False}
    several = next(
        trial
        for trial in scene_trials("make several", 20, 1)
        if len(trial.scenes) == 2 and len({modality_of(scene) for scene in trial.scenes}) == 2
    )
    backwards = Message("assistant", list(reversed(_perfect(several).media())))
    assert score(several, backwards, JUDGES)["order"] is False


def test_the_same_seed_asks_the_same() -> None:
    one, two = ([t.message for t in scene_trials("make picture", 5, 3)] for _ in range(2))
    assert one == two
