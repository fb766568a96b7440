"""Media for captions: the nearest of a collection, else a generated one, else none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.depicting import depict
from anyweave.messages import Image, Modality
from anyweave.model import NextGPT
from anyweave.testing.model import tiny_model
from anyweave_making.collection import Item
from anyweave_making.journal import Journal
from anyweave_making.mosit import (
    Dialogue,
    Filler,
    Generator,
    Grammar,
    build_drafts,
    fill_drafts,
    read_conversation,
)
from anyweave_making.mosit.build import read_dialogues
from anyweave_making.mosit.dialogue import media_of
from anyweave_making.mosit.fill import FILLED
from anyweave_making.release import Origin

from .conftest import TOPICS


def draft(text: str, id: str = "d") -> Dialogue:
    return Dialogue(id=id, topic="x", writer="y", conversation=read_conversation(text))


def test_the_nearest_caption_wins_and_comes_once(filler: Filler, items: list[Item]) -> None:
    filled = filler.fill(
        draft(
            "Human: [image: red tents beside the water of a lake]\n"
            "Machine: [audio: a campfire that crackles]\n"
            "Human: [image: a tent by a lake]\nMachine: [video: a horse race]"
        )
    )
    first, sound, second, clip = media_of(filled.conversation)
    assert first.source == str(items[0].path) and first.caption == "a red tent beside a lake"
    origin = filled.origins[0]
    assert origin is not None and origin.score is not None
    assert origin.asked == "red tents beside the water of a lake"
    assert 0.5 < origin.score < 1 and origin.licence == "CC0"
    assert sound.caption == "a campfire crackling"
    assert second.source is None and second.caption == "a tent by a lake"  # the tent is taken
    assert clip.source is None and filled.origins[3] is None


def test_filling_twice_changes_nothing(filler: Filler) -> None:
    once = filler.fill(draft("Human: [image: a red tent beside a lake]\nMachine: nice"))
    assert filler.fill(once) == once


def test_what_is_not_found_is_generated(items: list[Item], tmp_path: Path) -> None:
    calls = []

    def make(modality: Modality, caption: str, seed: int) -> Image | None:
        calls.append((modality, caption, seed))
        return Image(np.zeros((4, 4, 3), np.uint8)) if modality == "image" else None

    filler = Filler(
        items, folder=tmp_path / "made", generator=Generator(make=make, source="toy-model")
    )
    text = "Human: [image: a purple submarine]\nMachine: [video: a horse race]"
    filled = filler.fill(draft(text))
    image, clip = media_of(filled.conversation)
    assert image.source == str(tmp_path / "made" / "d-0.png") and clip.source is None
    assert media.load(image).shape == (4, 4, 3)
    assert filled.origins[0] == Origin(
        how="generated", source="toy-model", asked="a purple submarine"
    )
    filler.fill(draft(text))
    assert calls[0] == calls[2]  # the same seed
    assert filler.fill(draft(text, id="e")).id == "e" and calls[4][2] != calls[0][2]


def test_an_encoder_may_decide(items: list[Item], tmp_path: Path) -> None:
    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([[1.0, float("owl" in t or "bird" in t)] for t in texts])

    filler = Filler(items, folder=tmp_path, embed=embed, min_score=0.99)
    filled = filler.fill(draft("Human: [image: some bird]\nMachine: nice"))
    assert media_of(filled.conversation)[0].caption == "an owl on a branch"


def test_a_file_is_not_used_too_often_even_after_a_stop(items: list[Item], tmp_path: Path) -> None:
    work = tmp_path / "w"
    build_drafts(Grammar(TOPICS), TOPICS, work, num=12)

    class Stops(Filler):
        left = 5

        def fill_all(self, dialogues: Iterable[Dialogue]) -> Iterator[Dialogue]:
            for dialogue in super().fill_all(dialogues):
                self.left -= 1
                if self.left < 0:
                    raise KeyboardInterrupt
                yield dialogue

    with pytest.raises(KeyboardInterrupt):
        fill_drafts(work, Stops(items, folder=work, max_uses=3), settings={"a": 1})
    count = fill_drafts(work, Filler(items, folder=work, max_uses=3), settings={"a": 1})
    with Journal(work / FILLED) as journal:
        stopped = read_dialogues(journal)
        assert len(journal.path.read_text().splitlines()) == 13
    sources = [str(p.source) for d in stopped for p in media_of(d.conversation) if p.source]
    assert max(sources.count(source) for source in sources) == 3
    assert 0 < count < 12
    (work / FILLED).unlink()
    fill_drafts(work, Filler(items, folder=work, max_uses=3), settings={"a": 1})
    with Journal(work / FILLED) as journal:
        assert read_dialogues(journal) == stopped
    with pytest.raises(ValueError, match="begun with a=1, now it is 2"):
        fill_drafts(work, Filler(items, folder=work), settings={"a": 2})
    with pytest.raises(ValueError, match="it has no drafts.jsonl; write some with: anyweave"):
        fill_drafts(tmp_path, Filler(items, folder=work))


def test_dialogues_are_filled_together_as_one_by_one(items: list[Item], tmp_path: Path) -> None:
    path = tiny_model().save_pretrained(tmp_path / "model")
    model = NextGPT.from_pretrained(str(path), bridge="caption")
    texts = (
        "Human: [image: a tent by a lake]\nMachine: [audio: a bell]",
        "Human: [image: a tent by a lake]\nMachine: [image: two dogs]",
        "Human: hello\nMachine: [audio: rain]",
    )
    drafts = [draft(text, f"d{number}") for number, text in enumerate(texts)]
    rows = []
    with ReplyBatcher(model, max_rows=4) as batcher:
        for name, each in (("alone", map), ("together", batcher.map)):
            make = batcher.depict if each is not map else partial(depict, model)
            generator = Generator(make=make, source="us", each=each)
            filler = Filler(items, folder=tmp_path / name, generator=generator, max_uses=1)
            rows.append(list(filler.fill_all(drafts)))
    for one, other in zip(*rows, strict=True):
        assert (one.id, one.origins) == (other.id, other.origins)
        for a, b in zip(media_of(one.conversation), media_of(other.conversation), strict=True):
            assert a.caption == b.caption
            np.testing.assert_allclose(media.load(a) * 1.0, media.load(b) * 1.0, atol=1.5)
    origins = [o for d in rows[0] for o in d.origins]
    assert None not in origins
    assert sum(o is not None and o.how == "retrieved" for o in origins) == 1  # once, by the first
