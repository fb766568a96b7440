"""What the benchmark asks: held-out requests in everyday words, and held-out scenes in held-out
phrasings. Trial i of a task is always the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from anyweave.messages import Message, Modality
from emoji_mini.emoji_talk import Dialogue, Dialogues
from emoji_mini.emoji_talk.talk import KIND, modality_of
from emoji_mini.emoji_world.held_out import Request, held_out_requests
from emoji_mini.emoji_world.scenes import PictureScene, Scene
from emoji_mini.evaluation.changing import CHANGES, changing

_MODALITIES: dict[str, Modality] = {kind: modality for modality, kind in KIND.items()}
_MOST_DRAWN = 40  # conversations drawn, at most, for each usable one


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came before, what is said now, and what the reply should hold: `scenes` of its media in
    order, or of the user's media (`told`) where words are wanted.
    """

    history: tuple[Message, ...] = ()
    message: Message
    wanted: tuple[Modality, ...] = ()
    scenes: tuple[Scene, ...] = ()
    told: tuple[Scene, ...] = ()
    free: tuple[str, ...] = ()
    """Facts that were not said, so that they may be anything."""
    unknown: bool = False
    """What is asked for is not in the world."""
    kept: PictureScene | None = None
    """The user's picture; all that was not asked to change should stay."""


Trials = Callable[[int, int], Iterator[Trial]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """`trials` takes their number (a task may have fewer) and a seed. `everyday`: the choice of
    media counts, because these words are unlike training's. `judged`: the judge whose accuracy is
    shown beside the figures.
    """

    about: str
    trials: Trials
    everyday: bool = False
    judged: Modality | None = None


def everyday_trials(group: str, number: int, seed: int) -> Iterator[Trial]:
    """Requests written before any training, always in the same order. `seed` is unused."""
    for request in islice((r for r in held_out_requests() if _group(r) == group), number):
        yield Trial(
            message=Message("user", request.say),
            wanted=tuple(_MODALITIES[m] for m in request.media) if request.scenes else (),
            scenes=request.scenes,
            free=request.free,
            unknown=bool(request.unknown),
        )


def _group(request: Request) -> str:
    if request.unknown:
        return "unknown"
    if not request.media:
        return "words"
    return "several" if len(request.media) > 1 else _MODALITIES[request.media[0]]


def scene_trials(kind: str, number: int, seed: int) -> Iterator[Trial]:
    """First turns of test conversations that begin with the act `kind`."""
    source = Dialogues("test", _MOST_DRAWN * number, seed, kinds={kind: 1.0})
    yield from islice(filter(None, (_first_turn(d) for d in _all(source))), number)


def _first_turn(dialogue: Dialogue) -> Trial | None:
    question, answer = dialogue.messages[:2]
    told = dialogue.scenes[: len(question.media())]
    shown = dialogue.scenes[len(told) : len(told) + len(answer.media())]
    if dialogue.kind == "cross" and not shown:
        return None  # a thing that has no sound
    if dialogue.kind == "unknown":
        return Trial(message=question, unknown=True)
    wanted = tuple(modality_of(scene) for scene in shown)
    return Trial(message=question, wanted=wanted, scenes=shown, told=told)


def follow_up_trials(number: int, seed: int) -> Iterator[Trial]:
    """Later turns that ask for a medium, after what was actually said before."""
    kinds = {"ask picture": 4, "ask clip": 2, "ask sound": 2, "describe picture": 2}
    source = Dialogues("test", _MOST_DRAWN * number, seed, kinds=kinds, goes_on=True)
    yield from islice(filter(None, (_later_turn(d) for d in _all(source))), number)


def _later_turn(dialogue: Dialogue) -> Trial | None:
    messages = dialogue.messages
    places = [n for n, m in enumerate(messages) if m.role == "assistant" and n > 1 and m.media()]
    if not places:
        return None
    at = places[0]
    before = sum(len(message.media()) for message in messages[:at])
    scenes = dialogue.scenes[before : before + len(messages[at].media())]
    return Trial(
        history=tuple(messages[: at - 1]),
        message=messages[at - 1],
        wanted=tuple(modality_of(scene) for scene in scenes),
        scenes=scenes,
    )


def change_trials(change: str, number: int, seed: int) -> Iterator[Trial]:
    """The user's own picture, and one thing to change."""
    for message, kept, following in changing(change, number, seed):
        yield Trial(message=message, wanted=("image",), scenes=(following,), kept=kept)


def _all(source: Dialogues) -> Iterator[Dialogue]:
    return (source.dialogue(index) for index in range(len(source)))


def _tasks() -> Iterator[tuple[str, Task]]:
    for modality in KIND:
        about = f"in everyday words -> {modality}"
        trials = partial(everyday_trials, modality)
        yield (
            f"everyday {modality}",
            Task(about=about, trials=trials, everyday=True, judged=modality),
        )
    for group, about in (("several", "two media"), ("words", "text"), ("unknown", "a refusal")):
        yield (
            f"everyday {group}",
            Task(
                about=f"in everyday words -> {about}",
                trials=partial(everyday_trials, group),
                everyday=group != "unknown",
            ),
        )
    for modality, kind in KIND.items():
        yield (
            f"describe {modality}",
            Task(about=f"{modality} -> text", trials=partial(scene_trials, f"describe {kind}")),
        )
    for modality, kind in KIND.items():
        yield (
            f"make {modality}",
            Task(
                about=f"text -> text + {modality}",
                trials=partial(scene_trials, f"ask {kind}"),
                judged=modality,
            ),
        )
    for name, kind, about in (
        ("make several", "several", "text -> text + two or three media"),
        ("cross", "cross", "medium -> text + another medium"),
        ("talk", "talk", "text -> text"),
        ("decline", "unknown", "asked for what is not in the world"),
    ):
        yield name, Task(about=about, trials=partial(scene_trials, kind))
    yield "follow up", Task(about="a later turn that asks for a medium", trials=follow_up_trials)
    for change in CHANGES:
        yield (
            f"same but {change}",
            Task(
                about="picture -> the same picture, one thing otherwise",
                trials=partial(change_trials, change),
                judged="image",
            ),
        )


TASKS: dict[str, Task] = dict(_tasks())


def choose_tasks(names: Sequence[str] | None) -> dict[str, Task]:
    """Tasks by name, all for None. Raises `ValueError` for an unknown name."""
    for name in names or ():
        if name not in TASKS:
            raise ValueError(f"unknown task {name!r}; there are {', '.join(TASKS)}")
    return {name: TASKS[name] for name in names or TASKS}
