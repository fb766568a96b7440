"""The data that emoji-mini is taught with: multi-turn dialogues (MosIT) and short chats, made by
the tools of `anyweave_making.mosit` and filled with renderings of the world.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anyweave.files import read_object, write_json
from anyweave.messages import Media, Modality
from anyweave_making.mosit import (
    Act,
    Filler,
    Filters,
    Generator,
    Grammar,
    Plan,
    Question,
    Topic,
    build_drafts,
    fill_drafts,
    publish,
)
from emoji_mini.world.draft import as_part
from emoji_mini.world.mosit.acts import ACTS, SHORT_ACTS
from emoji_mini.world.mosit.situations import Situation, read_bank, read_situations
from emoji_mini.world.mosit.talk import EmojiTalk, ShortTalk
from emoji_mini.world.reading import scene_of

__all__ = ["DATASETS", "Dataset", "build_emoji_data", "medium_of", "writer_of"]

VERSION = "1.0.0"
SETTINGS_FILE = "emoji.json"
_LICENCE = "pictures MIT (Fluent Emoji), sounds MIT (FluidR3) and Apache-2.0"
Bar = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def _no_bar(title: str) -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda done, total: None)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """How one of the two is written: `num` dialogues of `acts`, in a state `talk`, with so many
    `turns`. For each that is wanted `surplus` are drafted: `filters` drop some.
    """

    name: str
    description: str
    acts: Mapping[str, Act[Any]]
    talk: type[EmojiTalk]
    turns: Mapping[int, float]
    filters: Filters
    num: int
    surplus: float = 1.1


DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="emoji-mosit",
            description="Dialogues of three to seven turns about the emoji world, with pictures, "
            "clips and sounds from both sides.",
            acts=ACTS,
            talk=EmojiTalk,
            turns={3: 0.2, 4: 0.26, 5: 0.25, 6: 0.18, 7: 0.11},
            filters=Filters(max_similarity=0.7),
            num=6000,
        ),
        Dataset(
            name="emoji-chats",
            description="Short chats about the emoji world: requests with the media that answer "
            "them (T2M), and words alone.",
            acts=SHORT_ACTS,
            talk=ShortTalk,
            turns={1: 0.72, 2: 0.2, 3: 0.08},
            filters=Filters(
                min_turns=1,
                min_modalities=0,
                both_sides=False,
                max_similarity=0.999,
                max_imbalance=None,
            ),
            num=15_000,
            surplus=1.25,
        ),
    )
}


def writer_of(dataset: Dataset) -> Grammar:
    """The grammar that writes a data set, on all situations."""
    situations = {situation.name: situation for situation in read_situations()}
    bank = read_bank()
    return Grammar(
        [_topic(situation) for situation in situations.values()],
        phrases=bank,
        acts=dataset.acts,
        turns=dataset.turns,
        begin=lambda topic, _, rng, num_turns: dataset.talk(
            situations[topic.name], bank, topic, rng, num_turns
        ),
        name="emoji grammar",
    )


def build_emoji_data(
    folder: str | Path,
    *,
    num: Mapping[str, int] | None = None,
    seed: int = 0,
    bar: Bar = _no_bar,
) -> dict[str, dict[str, Any]]:
    """Write the data sets into `folder`, each into one of its name; returns what stands in each
    ``dataset.json``. A stopped run goes on, and a data set that is there stays as it is.

    Args:
        num: dialogues by data set, at most: a few more are drafted, as filters drop some. Default:
            as many as emoji-mini was taught with.
        bar: opened with a title for a long step, gives where its progress goes.

    Raises `ValueError` for a data set that does not exist, or a folder that holds data sets, or a
    run, of another seed, other numbers or other situations.
    """
    if unknown := sorted(set(num or {}) - set(DATASETS)):
        raise ValueError(f"unknown data set {unknown[0]!r}; there are {', '.join(DATASETS)}")
    folder = Path(folder)
    wanted = {name: (num or {}).get(name, dataset.num) for name, dataset in DATASETS.items()}
    _claim(folder, {"version": VERSION, "seed": seed, "num": wanted})
    return {
        name: _build(dataset, folder, wanted[name], seed, bar) for name, dataset in DATASETS.items()
    }


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Write down what is made in `folder`, or check that it is this."""
    path = folder / SETTINGS_FILE
    found = read_object(path) if path.is_file() else {}
    for name in () if found else DATASETS:  # made by an older version
        if (folder / name / "dataset.json").is_file():
            drafts = _facts(folder / name).get("made", {}).get("drafts") or {}
            found = {"seed": drafts.get("seed")}
    changed = [
        f"{name} was {found[name]!r}, is {value!r}"
        for name, value in settings.items()
        if name in found and found[name] != value
    ]
    if changed:
        raise ValueError(
            f"{folder} holds data sets that were made otherwise: {'; '.join(changed)}. Use the "
            "same values, or choose another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        write_json(path, settings)


def medium_of(modality: Modality, caption: str, seed: int) -> Media | None:
    """The rendering of a canonical caption, None where the world has no such thing."""
    scene = scene_of(modality, caption, seed)
    return None if scene is None else replace(as_part(scene, rendered=True), caption=caption)


def _build(dataset: Dataset, folder: Path, num: int, seed: int, bar: Bar) -> dict[str, Any]:
    output = folder / dataset.name
    if (output / "dataset.json").is_file():
        return _facts(output)
    work = folder / "work" / dataset.name
    work.mkdir(parents=True, exist_ok=True)
    grammar = writer_of(dataset)
    drafts = round(num * dataset.surplus)
    with bar(f"{dataset.name}, drafts") as progress:
        build_drafts(grammar, grammar.topics, work, num=drafts, seed=seed, progress=progress)
    generator = Generator(make=medium_of, source="the emoji world of anyweave", licence=_LICENCE)
    filler = Filler([], folder=work / "media", generator=generator)
    with bar(f"{dataset.name}, media") as progress:
        fill_drafts(work, filler, progress=progress)
    return publish(
        work,
        output,
        dataset.filters,
        name=dataset.name,
        version=VERSION,
        description=dataset.description,
        limit=num,
    )


def _facts(output: Path) -> dict[str, Any]:
    return read_object(output / "dataset.json")


def _topic(situation: Situation) -> Topic:
    """The situation as a topic: what it speaks of goes into the journal's settings."""
    return Topic(
        name=situation.name,
        scenes={"image": situation.things, "audio": situation.sounds},
        why=tuple(Question(asked, answer) for asked, answer in situation.talk),
        plans=(Plan(situation.plan[0], (situation.plan[1],)),),
    )
