"""Dialogues without a language model: acts that follow one another, put into words by phrases.

An act is one exchange or two: the user shows something, asks for it, hints at it, wants to know
why, and so on. Which acts are possible depends on what was said so far; a dialogue that does not
become what MosIT asks for (media on both sides, several kinds of them, something to think about) is
started over. Topics, phrases, acts and the state that acts work on can all be replaced, so another
world speaks through the same grammar.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from anyweave.messages import Media, Part
from anyweave_making.captions import capitalized
from anyweave_making.journal import GivenUpError
from anyweave_making.mosit.dialogue import Dialogue
from anyweave_making.mosit.talk import Talk
from anyweave_making.mosit.topics import Topic

__all__ = ["ACTS", "PHRASES", "Act", "Grammar"]

PHRASES: Mapping[str, Sequence[str]] = tomllib.loads(
    Path(__file__).with_name("phrases.toml").read_text(encoding="utf-8")
)
TURNS: Mapping[int, float] = {3: 0.17, 4: 0.26, 5: 0.26, 6: 0.2, 7: 0.11}  # 4.8 on average
T = TypeVar("T", bound=Talk)
Begin = Callable[[Topic, Mapping[str, Sequence[str]], np.random.Generator, int], Talk]
_ATTEMPTS = 200


def _shown(talk: Talk, name: str, medium: Media, **slots: str) -> list[Part | str]:
    """Words, the medium, and now and then an offer."""
    assert medium.caption is not None
    parts: list[Part | str] = [talk.phrase(name, x=medium.caption, **slots), medium]
    return [*parts, f" {talk.phrase('offer')}"] if talk.chance(0.2) else parts


def _given(talk: Talk, question: str, medium: Media) -> list[Part | str]:
    """A medium from the user with a question before or after it."""
    return [question, medium] if talk.chance(0.3) else [medium, question]


def _look(talk: Talk) -> None:
    medium = talk.scene()
    assert medium.caption is not None
    reply = talk.phrase(f"look.reply.{medium.modality}", x=medium.caption)
    tags = ["perception"]
    if talk.topic.why and "why" not in talk.acts and "remark" not in talk.acts and talk.chance(0.4):
        why = talk.topic.why[0]
        reply = f"{reply} {talk.phrase('remark', asked=why.asked, answer=why.answer)}"
        talk.acts.append("remark")
        tags.append("reasoning")
    talk.exchange(_given(talk, talk.phrase(f"look.{medium.modality}"), medium), [reply], *tags)


def _compare(talk: Talk) -> None:
    before, medium = talk.media("user")[-1], talk.scene()
    assert medium.caption is not None and before.caption is not None
    reply = talk.phrase("compare.reply", x=medium.caption, y=before.caption)
    talk.exchange(_given(talk, talk.phrase("compare"), medium), [reply], "perception", "reasoning")


def _recall(talk: Talk) -> None:
    first = talk.media("user")[0].caption
    assert first is not None
    talk.exchange([talk.phrase("recall")], [talk.phrase("recall.reply", y=first)], "recall")


def _ask(talk: Talk) -> None:
    medium = talk.scene()
    request = talk.phrase(f"ask.{medium.modality}", x=medium.caption or "")
    talk.exchange([request], _shown(talk, f"give.{medium.modality}", medium), "explicit")


def _wish(talk: Talk) -> None:
    medium = talk.scene()
    hint = talk.phrase(f"wish.{medium.modality}", x=medium.caption or "")
    talk.exchange([hint], _shown(talk, f"wish.reply.{medium.modality}", medium), "implicit")


def _cross(talk: Talk) -> None:
    medium = talk.scene()
    question = talk.phrase(f"cross.{medium.modality}")
    reply = _shown(talk, f"cross.reply.{medium.modality}", medium)
    talk.exchange([question], reply, "implicit", "reasoning")


def _correct(talk: Talk) -> None:
    talk.exchange([talk.phrase("vague")], _shown(talk, "vague.reply", talk.scene()), "implicit")
    medium = talk.scene()
    better = talk.phrase(f"correct.{medium.modality}")
    talk.exchange([better], _shown(talk, "correct.reply", medium), "correction")


def _why(talk: Talk) -> None:
    question = talk.topic.why[0]
    said = talk.phrase("why.reply", answer=question.answer)
    talk.exchange([question.asked], _perhaps_shown(talk, said, "why.show"), "reasoning")


def _tip(talk: Talk) -> None:
    question = talk.topic.tips[0]
    said = talk.phrase("tip.reply", answer=question.answer)
    talk.exchange([question.asked], _perhaps_shown(talk, said, "tip.show"), "suggestion")


def _plan(talk: Talk) -> None:
    plan = talk.topic.plans[0]
    steps = "\n".join(f"{n}. {capitalized(step)}." for n, step in enumerate(plan.steps, 1))
    said = talk.phrase("plan.reply", goal=plan.goal, steps=steps)
    request = talk.phrase("plan", goal=plan.goal)
    talk.exchange([request], _perhaps_shown(talk, said, "plan.show", gap="\n"), "planning")


def _perhaps_shown(talk: Talk, said: str, name: str, gap: str = " ") -> list[Part | str]:
    """An answer in words, and as often as not a medium that goes with it."""
    if not talk.modalities() or talk.chance(0.5):
        return [said]
    medium = talk.scene()
    return [f"{said}{gap}{talk.phrase(name, x=medium.caption or '')}", medium]


@dataclass(frozen=True)
class Act(Generic[T]):
    """Something done in one exchange, or in `turns` of them.

    `ready` says whether it makes sense now; `most` how often it may occur in a dialogue, `weight`
    how likely it is.
    """

    play: Callable[[T], None]
    ready: Callable[[T], bool]
    weight: float = 1.0
    most: int = 1
    turns: int = 1


def _some_scene(talk: Talk) -> bool:
    return bool(talk.modalities())


ACTS: Mapping[str, Act[Talk]] = {
    "look": Act(_look, _some_scene, weight=2.0, most=2),
    "ask": Act(_ask, _some_scene, weight=1.5, most=2),
    "wish": Act(_wish, _some_scene, weight=1.2, most=2),
    "cross": Act(_cross, lambda t: bool(t.modalities() and t.messages and t.messages[-1].media())),
    "compare": Act(_compare, lambda t: bool(t.modalities() and t.media("user")), weight=0.7),
    "recall": Act(
        _recall, lambda t: bool(t.media("user")) and not t.messages[-2].media(), weight=0.4
    ),
    "correct": Act(_correct, lambda t: len(t.modalities()) > 1, weight=0.6, turns=2),
    "why": Act(_why, lambda t: bool(t.topic.why) and "remark" not in t.acts),
    "tip": Act(_tip, lambda t: bool(t.topic.tips), weight=0.8),
    "plan": Act(_plan, lambda t: bool(t.topic.plans), weight=0.8),
}


class Grammar:
    """Writes dialogues of 3 to 7 turns; the same seed writes the same one.

    Args:
        topics: the dialogues go through them in turn.
        phrases: by the names of `PHRASES`, from ``phrases.toml``; another world brings its own as
            ``{**PHRASES, "look.image": (...)}``.
        acts: by name; `ACTS`, more or others.
        turns: how often dialogues have each number of turns.
        begin: makes a talk for `acts` to work on: ``Talk(topic, phrases, rng, num_turns)`` or one
            of its kind.
        name: goes into the card.

    Raises `ValueError` for a phrase that one of `ACTS` misses.
    """

    def __init__(
        self,
        topics: Sequence[Topic],
        *,
        phrases: Mapping[str, Sequence[str]] = PHRASES,
        acts: Mapping[str, Act[Any]] = ACTS,
        turns: Mapping[int, float] = TURNS,
        begin: Begin = Talk,
        name: str = "grammar",
    ) -> None:
        ours = any(act in ACTS.values() for act in acts.values())
        missing = sorted(set(PHRASES) - set(phrases))
        if ours and missing:
            raise ValueError(f"no phrases for {', '.join(missing)}; begin with {{**PHRASES}}")
        self.name = name
        self.topics = topics
        self._phrases = phrases
        self._acts = acts
        self._turns = turns
        self._begin = begin

    def write(self, id: str, topic: Topic, seed: Sequence[int]) -> Dialogue:
        """A dialogue on `topic`. Raises `GivenUpError` if the topic offers too little."""
        rng = np.random.default_rng(list(seed))
        weights = np.array(list(self._turns.values()))
        num_turns = int(rng.choice(list(self._turns), p=weights / weights.sum()))
        for _ in range(_ATTEMPTS):
            talk = self._begin(topic, self._phrases, rng, num_turns)
            if self._play(talk) and talk.is_whole():
                return Dialogue(
                    id=id,
                    topic=topic.name,
                    writer=self.name,
                    conversation=talk.messages,
                    tags=tuple(dict.fromkeys(talk.tags)),
                )
        raise GivenUpError(f"{topic.name}: too little to make a dialogue of")

    def _play(self, talk: Talk) -> bool:
        """Act until all turns are there; returns whether that worked."""
        while talk.turns < talk.num_turns:
            names = [name for name, act in self._acts.items() if _may_come(name, act, talk)]
            if not names:
                return False
            weights = np.array([self._acts[name].weight for name in names])
            name = names[int(talk.rng.choice(len(names), p=weights / weights.sum()))]
            self._acts[name].play(talk)
            talk.acts.append(name)
        return True


def _may_come(name: str, act: Act[Any], talk: Talk) -> bool:
    room = talk.num_turns - talk.turns >= act.turns
    return room and talk.acts.count(name) < act.most and act.ready(talk)
