"""Conversations of the emoji world as data sets on disk, made with the MosIT tools: a journal of
drafts, filters, and a release with a card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyweave import media
from anyweave.files import read_object
from anyweave_making.mosit import (
    Dialogue,
    Filler,
    Filters,
    HeldOut,
    Topic,
    build_drafts,
    fill_drafts,
    publish,
)
from anyweave_making.mosit.dialogue import media_of
from anyweave_making.release import Origin
from emoji_mini.emoji_talk.source import Dialogues
from emoji_mini.emoji_talk.talk import Talk, modality_of
from emoji_mini.emoji_world.held_out import held_out_words

VERSION = "2.0.0"
_ORIGIN = Origin(
    how="generated",
    source="the emoji world of anyweave",
    licence="pictures MIT (Fluent Emoji), sounds MIT (FluidR3) and Apache-2.0",
)
_TOPIC = Topic(name="the emoji world", scenes={})
_TRIES = 1_000_000  # conversations to try for one that fits
_SURPLUS = 1.3  # drafts per wanted dialogue: filters drop some
Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What its card says, what its conversations are like, and how many there are."""

    description: str
    filters: Filters
    num: int

    def fits(self, talk: Talk) -> bool:
        """Whether its turns and media pass the filters."""
        turns = sum(role == "assistant" for role, _ in talk.turns)
        sides = {
            role for role, said in talk.turns if any(not isinstance(part, str) for part in said)
        }
        return (
            self.filters.min_turns <= turns <= self.filters.max_turns
            and len({modality_of(scene) for scene in talk.scenes}) >= self.filters.min_modalities
            and (len(sides) == 2 or not self.filters.both_sides)
        )


DATA_SETS: Mapping[str, DataSet] = {
    "emoji-mosit": DataSet(
        description="Dialogues of three to seven turns about the emoji world, with pictures, clips "
        "and sounds from both sides.",
        filters=Filters(max_similarity=0.9),
        num=6_000,
    ),
    "emoji-chats": DataSet(
        description="Talk about the emoji world as emoji-mini learns it: requests with the media "
        "that answer them (T2M), questions about media, and words alone.",
        filters=Filters(
            min_turns=1,
            min_modalities=0,
            both_sides=False,
            max_similarity=0.999,
            max_imbalance=None,
        ),
        num=15_000,
    ),
}


@dataclass
class Writer:
    """Takes the next conversation of `Dialogues` that fits and renders its media into `folder`."""

    data_set: DataSet
    folder: Path
    name: str = "emoji talk"

    def write(self, id: str, topic: Topic, seed: Sequence[int]) -> Dialogue:
        base, number = seed
        talks = Dialogues("train", _TRIES * (number + 1), base, with_media=True)
        index = next(
            index
            for index in range(_TRIES * number, len(talks))
            if self.data_set.fits(talks.draft(index)[1])
        )
        said = talks.dialogue(index)
        dialogue = Dialogue(
            id=id, topic=topic.name, writer=self.name, tags=(said.kind,), conversation=said.messages
        )
        parts = [
            replace(part, source=str(media.store(part, self.folder / f"{id}-{place}")))
            for place, part in enumerate(media_of(dialogue.conversation))
        ]
        return dialogue.with_media(parts, [_ORIGIN] * len(parts))


def write_data_sets(
    folder: Path,
    num: Mapping[str, int],
    seed: int = 0,
    bar: Bar = lambda title: nullcontext(lambda done, total: None),
) -> dict[str, dict[str, Any]]:
    """Write `num` conversations per data set, each into a folder of its name; returns the content
    of each ``dataset.json``. A stopped run resumes; an existing data set is left alone.

    Raises `ValueError` if an existing one has another seed or number.
    """
    return {name: _write(name, folder, wanted, seed, bar) for name, wanted in num.items()}


def _write(name: str, folder: Path, num: int, seed: int, bar: Bar) -> dict[str, Any]:
    data_set, output, work = DATA_SETS[name], folder / name, folder / "work" / name
    if (output / "dataset.json").is_file():
        facts = read_object(output / "dataset.json")
        had, there = facts["made"]["drafts"].get("seed"), facts["stats"]["instances"]
        short = there + sum(facts["dropped"].values()) == _drafts(num)  # all that filters left
        if had != seed or not (there == num or short):
            raise ValueError(
                f"{output} holds {there:,} conversations of seed {had}, wanted are {num:,} of seed "
                f"{seed}; remove it or choose another folder"
            )
        return facts
    store = work / "media"
    store.mkdir(parents=True, exist_ok=True)
    writer = Writer(data_set, store.resolve())
    with bar(name) as progress:
        build_drafts(writer, [_TOPIC], work, num=_drafts(num), seed=seed, progress=progress)
    fill_drafts(work, Filler([], folder=store))
    return publish(
        work,
        output,
        data_set.filters,
        name=name,
        version=VERSION,
        description=data_set.description,
        limit=num,
        held_out=HeldOut(texts=held_out_words()),
    )


def _drafts(num: int) -> int:
    return round(num * _SURPLUS) + 10
