"""The emoji world's benchmark: held-out scenes asked about in held-out words, with exact truth.

Text is judged by `reading` (exact words), media by the world's verifiers. A medium that was asked
for and not given counts as wrong in every figure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from anyweave import media
from anyweave.messages import Media, Message, Text
from emoji_mini.evaluation.tasks.reading import read
from emoji_mini.world.catalogue import SAMPLE_RATE
from emoji_mini.world.draft import Dialogue, modality_of
from emoji_mini.world.scenes import ImageScene, Scene, VideoScene
from emoji_mini.world.verifiers import Verifiers


class Session(Protocol):
    """What the benchmark needs of a conversation: `ChatSession`, or a script in tests."""

    def reply(self, message: Message) -> Message: ...


@dataclass(frozen=True)
class Question:
    """One trial: what came before, what is said now, and what the reply should hold."""

    history: tuple[Message, ...]
    message: Message
    wanted: frozenset[str]
    scenes: tuple[Scene, ...]
    """Truth: of the wanted media, or of the user's media where words are wanted."""


@dataclass(frozen=True)
class Answer:
    question: Question
    reply: Message
    facts: dict[str, bool]
    shown: tuple[Media, ...]
    """The reply's media that were judged, in the order of the question's scenes."""

    @property
    def given(self) -> frozenset[str]:
        return frozenset(part.modality for part in self.reply.media())

    def to_dict(self) -> dict[str, Any]:
        """In words, to be read by a person: media stand as ``<modality: caption>``."""
        return {
            "turns": [
                in_words(message) for message in (*self.question.history, self.question.message)
            ],
            "reply": in_words(self.reply),
            "wanted": [scene.caption for scene in self.question.scenes],
            "right": self.facts,
        }


def in_words(message: Message) -> str:
    """The message as one line."""
    return " ".join(
        part.text if isinstance(part, Text) else f"<{part.modality}: {part.caption}>"
        for part in message.parts
    )


Score = Callable[[Question, Message, Verifiers], tuple[dict[str, bool], tuple[Media, ...]]]


@dataclass(frozen=True, kw_only=True)
class WorldTask:
    """`kind` is the kind of dialogue that asks; `turn` the turn that is answered: the first, or the
    last that holds media. `judge_media` False spares the decoders their steps: only the decision
    counts.
    """

    name: str
    kind: str
    about: str
    score: Score
    judge_media: bool = True
    last_turn: bool = False

    def question(self, dialogue: Dialogue) -> Question | None:
        """The trial that a dialogue makes; None where it has no such turn."""
        messages = dialogue.messages
        answers = [n for n, message in enumerate(messages) if message.role == "assistant"]
        if self.last_turn:
            answers = [n for n in answers if messages[n].media()][-1:]
        if not answers:
            return None
        at = answers[0]
        wanted = frozenset(part.modality for part in messages[at].media())
        before = sum(len(message.media()) for message in messages[:at])
        scenes = dialogue.scenes[before : before + len(messages[at].media())]
        return Question(
            history=tuple(messages[: at - 1]),
            message=messages[at - 1],
            wanted=wanted,
            scenes=scenes or dialogue.scenes[: len(messages[at - 1].media())],
        )


def understands(
    question: Question, reply: Message, verifiers: Verifiers
) -> tuple[dict[str, bool], tuple[Media, ...]]:
    """The reply's words state the facts of the user's medium."""
    return read(reply.text, question.scenes[0]), ()


def words_alone(
    question: Question, reply: Message, verifiers: Verifiers
) -> tuple[dict[str, bool], tuple[Media, ...]]:
    """The reply holds words and no medium."""
    return {"words_alone": not reply.media(), "says_something": bool(reply.text.strip())}, ()


def generates(
    question: Question, reply: Message, verifiers: Verifiers
) -> tuple[dict[str, bool], tuple[Media, ...]]:
    """The reply holds the wanted media, and the verifiers see or hear in them what was asked for.

    `stated` means that its words hold the canonical captions.
    """
    facts: dict[str, list[bool]] = {"stated": [], "given": []}
    left = list(reply.media())
    shown = []
    for scene in question.scenes:
        modality = modality_of(scene)
        part = next((part for part in left if part.modality == modality), None)
        if part is not None:
            left.remove(part)
            shown.append(part)
        facts["stated"].append(scene.caption.lower() in reply.text.lower())
        facts["given"].append(part is not None)
        for name, value in judge(scene, part, verifiers).items():
            facts.setdefault(name, []).append(value)
    return {name: all(values) for name, values in facts.items()}, tuple(shown)


def judge(scene: Scene, part: Media | None, verifiers: Verifiers) -> dict[str, bool]:
    """The verifiers' verdict on a medium: which facts of the scene it shows. All False for None."""
    if isinstance(scene, ImageScene):
        return _judge_image(scene, part, verifiers)
    if isinstance(scene, VideoScene):
        if part is None:
            return {"object": False, "motion": False, "background": False}
        clip = verifiers.judge_videos([_array(part)])[0]
        return {
            "object": clip.object == scene.object,
            "motion": clip.motion == scene.motion,
            "background": clip.background == scene.background,
        }
    if part is None:
        return {"sound": False}
    return {"sound": verifiers.judge_audios([_array(part)])[0].holds(scene.sounds)}


def _judge_image(scene: ImageScene, part: Media | None, verifiers: Verifiers) -> dict[str, bool]:
    picture = None if part is None else verifiers.judge_images([_array(part)])[0]
    facts = {"background": picture is not None and picture.background == scene.background}
    if scene.relation is None or scene.other is None:
        facts["object"] = picture is not None and picture.object == scene.object
        facts["count"] = picture is not None and picture.count == scene.count
        return facts
    facts["object"] = (
        picture is not None and picture.shows(scene.object) and picture.shows(scene.other)
    )
    facts["relation"] = picture is not None and picture.relation_holds(
        scene.object, scene.relation, scene.other
    )
    return facts


def _array(part: Media) -> np.ndarray:
    """Pixels, frames or samples at the verifiers' rate."""
    return media.load(part, sample_rate=SAMPLE_RATE)


_ALL: tuple[tuple[str, str, str, Score], ...] = (
    # name, kind of dialogue, what goes in and out, how it is scored
    ("describe image", "caption_image", "image -> text", understands),
    ("describe video", "caption_video", "video -> text", understands),
    ("describe audio", "caption_audio", "audio -> text", understands),
    ("make image", "request_image", "text -> text + image", generates),
    ("make video", "request_video", "text -> text + video", generates),
    ("make audio", "request_audio", "text -> text + audio", generates),
    ("make several", "several_media", "text -> text + two media", generates),
    ("cross", "cross", "medium -> text + another medium", generates),
    ("follow up", "follow_up", "a later turn that asks for a medium", generates),
    ("talk", "talk", "text -> text", words_alone),
    ("decline", "refuse", "asked for what is not in the world", words_alone),
)
TASKS: dict[str, WorldTask] = {
    name: WorldTask(
        name=name,
        kind=kind,
        about=about,
        score=score,
        judge_media=score is not words_alone,
        last_turn=name == "follow up",
    )
    for name, kind, about, score in _ALL
}


def choose_tasks(names: Sequence[str] | None) -> list[WorldTask]:
    """Tasks by name, all for None. Raises `ValueError` for an unknown name."""
    for name in names or ():
        if name not in TASKS:
            raise ValueError(f"unknown task {name!r}; there are {', '.join(TASKS)}")
    return [TASKS[name] for name in names or TASKS]
