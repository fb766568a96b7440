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
from anyweave.messages import Message
from emoji_mini.evaluation.comparison import Comparison, Measured
from emoji_mini.evaluation.tasks.world import Question, generates
from emoji_mini.world import phrases as say
from emoji_mini.world.catalogue import BACKGROUNDS, MAX_COUNT, NUMBER_WORDS, OBJECTS
from emoji_mini.world.describing import article, call, describe
from emoji_mini.world.draft import Draft
from emoji_mini.world.scenes import ImageScene
from emoji_mini.world.small_talk import talk
from emoji_mini.world.verifiers import Verifiers, load_verifiers

_OPTIONS = GenerationOptions(
    max_new_tokens=64,
    temperature=0.0,
    modalities=("text", "image"),
    force=("image",),
    max_media=1,
)
_ASKED = say.IMAGE_REQUESTS
_LIKE_THIS = (  # {x} is what shall be otherwise
    "Make a picture like this one, but {x}.",
    "I want the same picture, but {x}.",
    "Draw this again, but {x}.",
)


def _counting(d: Draft) -> None:
    scene = replace(d.image(relation_share=0.0), count=int(d.rng.integers(2, MAX_COUNT + 1)))
    d.user(d.phrase(_ASKED).format(x=describe(d.rng, scene)))
    d.assistant(*d.showing(scene))


def _spatial(d: Draft) -> None:
    scene = d.image(relation_share=1.0)
    d.user(d.phrase(_ASKED).format(x=describe(d.rng, scene)))
    d.assistant(*d.showing(scene))


def _like_this(d: Draft) -> None:
    """The user's own picture, and one thing that shall be otherwise."""
    shown = d.image(relation_share=0.0)
    change, wanted = _changed(d, shown)[1:]
    d.user(shown, d.pick(_LIKE_THIS).format(x=change))
    d.assistant(*d.showing(wanted))


def _reference(d: Draft) -> None:
    """A picture of an earlier turn, words between, and one thing that shall be otherwise."""
    first = d.image(relation_share=0.0)
    d.user(d.phrase(_ASKED).format(x=describe(d.rng, first)))
    d.assistant(*d.showing(first))
    question, answer = talk(d.rng, d.split)
    d.user(question)
    d.assistant(answer)
    words, _, wanted = _changed(d, first)
    d.user(words)
    d.assistant(*d.showing(wanted))


def _changed(d: Draft, scene: ImageScene) -> tuple[str, str, ImageScene]:
    """Another number, place or thing: what is said of it in a turn of its own, what after a "but",
    and what it becomes.
    """
    change = d.pick(("number", "place", "thing"))
    if change == "number":
        count = d.pick([n for n in range(2, MAX_COUNT + 1) if n != scene.count])
        number = NUMBER_WORDS[count]
        following = replace(scene, count=count, seed=d.seed())
        return d.phrase(say.WITH_COUNT).format(n=number), f"with {number} of them", following
    if change == "place":
        place = d.pick([name for name in BACKGROUNDS if name != scene.background])
        named = d.pick([words for words in say.PLACES[place] if words])
        following = replace(scene, background=place, seed=d.seed())
        return d.phrase(say.WITH_BACKGROUND).format(b=named), named, following
    other = d.pick([name for name in OBJECTS if name != scene.object])
    many = scene.count > 1
    called = call(d.rng, other, plural=many)
    called = called if many else article(called)
    following = replace(scene, object=other, seed=d.seed())
    return d.phrase(say.INSTEAD).format(x=called), f"with {called} instead", following


TASKS: Mapping[str, Callable[[Draft], None]] = {
    "counting": _counting,
    "spatial": _spatial,
    "like this picture, but": _like_this,
    "reference to an earlier turn": _reference,
}


def questions(task: str, number: int, seed: int) -> Iterator[Question]:
    """The first `number` held-out questions of a task, the same for every path."""
    found, tried = 0, 0
    while found < number:
        kind = list(TASKS).index(task)
        draft = Draft(np.random.default_rng((seed, kind, tried)), "test")
        TASKS[task](draft)
        tried += 1
        if draft.scenes[-1].split != "test":  # what is wanted is what must be new
            continue
        messages = draft.finish(task, with_media=False).messages
        yield Question(
            history=tuple(messages[:-2]),
            message=messages[-2],
            wanted=frozenset({"image"}),
            scenes=draft.scenes[-1:],
        )
        found += 1


def compare_paths(
    models: Mapping[str, Any],
    *,
    settings: Mapping[str, Any],
    trials: int = 64,
    seed: int = 0,
    options: GenerationOptions = _OPTIONS,
    verifiers: Verifiers | None = None,
    tick: Callable[[str], None] | None = None,
) -> Comparison:
    """Ask every model all questions; figures of each, and paired differences to the first.

    `settings` are the options that give the table again. Raises `ValueError` for fewer than one
    trial or two models.
    """
    if trials < 1 or len(models) < 2:
        raise ValueError(f"trials >= 1 and two models are needed, got {trials} and {len(models)}")
    verifiers = verifiers or load_verifiers()
    outcomes = {
        name: {
            task: _outcomes(model, task, trials, seed, options, verifiers, tick) for task in TASKS
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
    verifiers: Verifiers,
    tick: Callable[[str], None] | None,
) -> list[dict[str, bool]]:
    """What the verifiers see in each picture; the reply's own words are not judged."""

    def ask(batcher: ReplyBatcher, numbered: tuple[int, Question]) -> tuple[Question, Message]:
        number, question = numbered
        chosen = replace(options, seed=seed * 1_000_003 + number)
        return question, batcher.chat(chosen, messages=question.history).reply(question.message)

    found = []
    with ReplyBatcher(model) as batcher:
        asked = enumerate(questions(task, trials, seed))
        for question, reply in batcher.map(partial(ask, batcher), asked):
            facts, _ = generates(question, reply, verifiers)
            found.append({k: v for k, v in facts.items() if k not in ("stated", "given")})
            if tick is not None:
                tick(task)
    return found
