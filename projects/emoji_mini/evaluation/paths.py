"""From words to pictures: end to end, or through words (paper, section 6.2, Figures 9 to 11).

Each path is a model: signal states, the reply's caption, or a cascade of trained parts. All get the
same held-out questions and the same seeds, and the medium is forced: what is compared is what
reaches the decoder, not whether a picture is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from anyweave.evaluation.metrics import Figure, Proportion, Ratio
from anyweave.generation import GenerationOptions, ReplyBatcher
from anyweave.messages import Message, Modality
from emoji_mini.emoji_talk.going_on import changed
from emoji_mini.emoji_talk.talk import Talk
from emoji_mini.emoji_talk.words import talk
from emoji_mini.emoji_world.captions import call
from emoji_mini.emoji_world.scenes import PictureScene
from emoji_mini.emoji_world.things import MAX_COUNT, NUMBER_WORDS, THINGS
from emoji_mini.evaluation.comparison import Comparison, Measured
from emoji_mini.evaluation.judging import Judges
from emoji_mini.evaluation.trials import Trial

_OPTIONS = GenerationOptions(
    max_new_tokens=64,
    temperature=0.0,
    modalities=("text", "image"),
    force=("image",),
    max_media=1,
)
_LIKE_THIS = (  # {x} is what should differ
    "Make a picture like this one, but {x}.",
    "I want the same picture, but {x}.",
    "Draw this again, but {x}.",
)


def _counting(t: Talk) -> None:
    scene = t.picture(alone=True)
    _ask(t, replace(scene, count=int(t.rng.integers(2, MAX_COUNT + 1))))


def _spatial(t: Talk) -> None:
    scene = t.picture()
    while scene.relation is None:
        scene = t.picture()
    _ask(t, scene)


def _ask(t: Talk, scene: PictureScene) -> None:
    t.user(t.line("picture", x=t.words(scene)))
    t.show(scene)


def _like_this(t: Talk) -> None:
    """The user's own picture, and one thing to change."""
    shown = t.picture(alone=True)
    move = t.pick(("number", "place", "thing"))
    _, wanted = changed(t, shown, move)
    assert isinstance(wanted, PictureScene)
    named = {
        "number": f"with {NUMBER_WORDS[wanted.count]} of them",
        "place": t.place(wanted.background),
        "thing": f"with {call(t.rng, THINGS[wanted.object], wanted.count)} instead",
    }
    t.user(shown, t.pick(_LIKE_THIS).format(x=named[move]))
    t.show(wanted)


def _reference(t: Talk) -> None:
    """A picture from an earlier turn, words in between, and one thing to change."""
    first = t.picture(alone=True)
    _ask(t, first)
    talk(t)
    words, wanted = changed(t, first, t.pick(("number", "place", "thing")))
    t.user(words)
    t.show(wanted)


TASKS: Mapping[str, Callable[[Talk], None]] = {
    "counting": _counting,
    "spatial": _spatial,
    "like this picture, but": _like_this,
    "reference to an earlier turn": _reference,
}


def questions(task: str, number: int, seed: int) -> Iterator[Trial]:
    """The first `number` held-out questions of a task, the same for every path."""
    found, tried = 0, 0
    while found < number:
        t = Talk(np.random.default_rng((seed, list(TASKS).index(task), tried)), "test")
        TASKS[task](t)
        tried += 1
        if t.scenes[-1].split != "test":  # what is asked for must be new
            continue
        messages = t.finish(task, with_media=False).messages
        yield Trial(
            history=tuple(messages[:-2]),
            message=messages[-2],
            wanted=("image",),
            scenes=t.scenes[-1:],
        )
        found += 1


def compare_paths(
    models: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    trials: int = 64,
    seed: int = 0,
    options: GenerationOptions = _OPTIONS,
    judges: Judges | None = None,
    tick: Callable[[str], None] | None = None,
) -> Comparison:
    """Ask every model all questions; returns figures of each, and paired differences from the
    first. A task whose questions show what a model cannot take has no figures of it.

    `settings` are the options that reproduce the table. Raises `ValueError` for fewer than one
    trial or two models.
    """
    if trials < 1 or len(models) < 2:
        raise ValueError(f"trials >= 1 and two models are needed, got {trials} and {len(models)}")
    judges = judges or Judges.load()
    outcomes = {
        name: {
            task: _outcomes(model, task, trials, seed, options, judges, tick)
            for task in tasks_of(model, seed)
        }
        for name, model in models.items()
    }
    first = next(iter(models))
    return Comparison(
        name="paths",
        title="End to end, or through words (paper, section 6.2)",
        about="The same language model and decoders on every path, the same questions, the same "
        "seeds; the picture is forced. Differences are paired, question by question.",
        settings=settings,
        columns={
            name: Measured(parameters={}, figures=_figures(found, outcomes[first], first))
            for name, found in outcomes.items()
        },
        command="eval paths",
    )


def tasks_of(model: Any, seed: int) -> list[str]:
    """The tasks in which the user shows nothing that the model cannot read."""

    def shown(question: Trial) -> set[Modality]:
        said = (*question.history, question.message)
        return {part.modality for m in said if m.role == "user" for part in m.media()}

    able = set(model.processor.encoders)
    return [task for task in TASKS if shown(next(questions(task, 1, seed))) <= able]


Outcomes = Mapping[str, Sequence[Mapping[str, bool]]]


def _figures(found: Outcomes, first: Outcomes, name: str) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for task, facts in found.items():
        for fact in sorted({key for one in facts for key in one}):
            share = Proportion.of(one[fact] for one in facts if fact in one)
            figures[f"{task}: {fact}"] = Figure.of(share)
        right = [all(one.values()) for one in facts]
        against = [all(one.values()) for one in first[task]]
        figures[f"{task}: all right"] = Figure.of(Proportion.of(right))
        pairs = ((float(a) - float(b), 1.0) for a, b in zip(right, against, strict=True))
        figures[f"{task}: all right, minus {name}'s"] = Figure.of(Ratio.of(pairs))
    return figures


def _outcomes(
    model: Any,
    task: str,
    trials: int,
    seed: int,
    options: GenerationOptions,
    judges: Judges,
    tick: Callable[[str], None] | None,
) -> list[dict[str, bool]]:
    """What the judges see in each picture; the reply's own words are not judged."""

    def ask(batcher: ReplyBatcher, numbered: tuple[int, Trial]) -> tuple[Trial, Message]:
        number, question = numbered
        chosen = replace(options, seed=seed * 1_000_003 + number)
        return question, batcher.chat(chosen, messages=question.history).reply(question.message)

    found = []
    with ReplyBatcher(model) as batcher:
        asked = enumerate(questions(task, trials, seed))
        for question, reply in batcher.map(partial(ask, batcher), asked):
            part = next(iter(reply.media()), None)
            found.append(judges.judge(question.scenes[0], part))
            if tick is not None:
                tick(task)
    return found
