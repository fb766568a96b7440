"""What dialogues are about: things to see, watch and hear, and what can be said about them."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anyweave.messages import PAPER_MODALITIES, Modality
from anyweave_making.captions import tidy
from anyweave_making.collection import Item
from anyweave_making.text_index import TfIdfIndex

__all__ = ["Plan", "Question", "Topic", "grounded", "read_topics"]

_OURS = Path(__file__).with_name("topics.toml")
_LEAST = 4  # scenes of a topic for dialogues of up to seven turns
_KEYS = ("name", *PAPER_MODALITIES, "why", "tip", "plan")


@dataclass(frozen=True)
class Question:
    """A question and its answer in one or two sentences."""

    asked: str
    answer: str


@dataclass(frozen=True)
class Plan:
    """A goal, as it stands after "help me plan", and the steps to it."""

    goal: str
    steps: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Topic:
    """One topic. `scenes` are captions by modality that can follow "a picture of"; whatever is
    empty is not talked about.
    """

    name: str
    scenes: Mapping[Modality, tuple[str, ...]]
    why: tuple[Question, ...] = ()
    tips: tuple[Question, ...] = ()
    plans: tuple[Plan, ...] = field(default=())


def read_topics(path: str | Path | None = None) -> tuple[Topic, ...]:
    """The topics of a TOML file like our own ``topics.toml``, which is the default.

    Raises `ValueError` naming file and topic for anything not in that form.
    """
    path = Path(path or _OURS)
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("topic", [])
    except (tomllib.TOMLDecodeError, FileNotFoundError) as error:
        raise ValueError(f"{path}: no file of topics ({error})") from error
    topics = tuple(_topic(row, f"{path}: topic {number}") for number, row in enumerate(rows, 1))
    if not topics:
        raise ValueError(f"{path}: it has no [[topic]]")
    return topics


def _topic(row: dict[str, Any], place: str) -> Topic:
    if unknown := sorted(set(row) - set(_KEYS)):
        raise ValueError(f"{place}: unknown key {unknown[0]!r}; known: {', '.join(_KEYS)}")
    if not isinstance(row.get("name"), str):
        raise ValueError(f"{place}: it needs a name")
    for key in _KEYS[1:]:
        value = row.get(key, [])
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise ValueError(f"{place} ({row['name']}): {key} is a list of texts, got {value!r}")
    for key in ("why", "tip"):
        if len(row.get(key, [])) not in (0, 2):
            raise ValueError(f"{place} ({row['name']}): {key} is a question and its answer")
    why, tip, plan = (row.get(key, []) for key in ("why", "tip", "plan"))
    return Topic(
        name=row["name"],
        scenes={m: tuple(row[m]) for m in PAPER_MODALITIES if row.get(m)},
        why=(Question(*why),) if why else (),
        tips=(Question(*tip),) if tip else (),
        plans=(Plan(plan[0], tuple(plan[1:])),) if plan else (),
    )


def grounded(
    topics: Sequence[Topic], items: Sequence[Item], *, min_score: float = 0.2, per_modality: int = 6
) -> tuple[Topic, ...]:
    """The topics with the captions of a collection in place of their own scenes, so that what is
    asked for can be found.

    For each topic and modality the `per_modality` captions nearest to the topic's name and scenes
    are taken, if they score at least `min_score`. Topics with too little to talk about (fewer than
    `_LEAST` scenes, or of one modality only) are left out. Raises `ValueError` if none is left.
    """
    captions = {
        m: sorted({tidy(item.caption) for item in items if item.modality == m})
        for m in PAPER_MODALITIES
    }
    indices = {m: TfIdfIndex(texts) for m, texts in captions.items()}
    found = []
    for topic in topics:
        scenes: dict[Modality, tuple[str, ...]] = {}
        for modality, index in indices.items():
            queries = (topic.name, *topic.scenes.get(modality, ()))
            near: dict[int, float] = defaultdict(float)
            for query in queries:
                for n, score in index.search(query, per_modality):
                    near[n] = max(near[n], score)
            best = sorted((-score, n) for n, score in near.items() if score >= min_score)
            if best:
                scenes[modality] = tuple(captions[modality][n] for _, n in best[:per_modality])
        if len(scenes) > 1 and sum(map(len, scenes.values())) >= _LEAST:
            found.append(replace(topic, scenes=scenes))
    if not found:
        raise ValueError(
            f"none of {len(topics)} topics has enough media in this collection; lower the score "
            f"from {min_score}, or give topics of your own"
        )
    return tuple(found)
