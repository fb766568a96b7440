"""From drafts to a dataset folder: counts, hashes, the card, and kill -9 on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave.data import MessagesJsonl
from anyweave.files import file_digest
from anyweave.messages import Image, Message
from anyweave_making.collection import Item
from anyweave_making.journal import Journal
from anyweave_making.mosit import (
    Filler,
    Filters,
    Generator,
    Grammar,
    Review,
    build_drafts,
    fill_drafts,
    publish,
    read_held_out,
    read_topics,
)
from anyweave_making.mosit.build import DRAFTS
from anyweave_making.mosit.publish import filled_dialogues
from anyweave_making.mosit.review import DECISIONS
from anyweave_making.release import Origin, Record, Release, write_release

from .conftest import TOPICS

ANY = Filters(max_similarity=1.0)


@pytest.fixture
def work(items: list[Item], tmp_path: Path) -> Path:
    work = tmp_path / "work"
    build_drafts(Grammar(TOPICS), TOPICS, work, num=20)
    fill_drafts(work, Filler(items, folder=work / "media"), settings={"collections": ["toy"]})
    return work


def test_a_dataset_is_whole_and_says_where_it_comes_from(work: Path, tmp_path: Path) -> None:
    with Journal(work / DECISIONS) as decisions:
        review = Review(filled_dialogues(work), decisions)
        ids = [row["id"] for row in review.overview()["dialogues"]]
        review.decide(ids[0], "reject")
        review.decide(
            ids[1], "accept", review.show(ids[1])["text"].replace("Machine: ", "Machine: Hm. ")
        )
    facts = publish(work, tmp_path / "d", ANY, name="toy", version="1.2.0")
    rows = MessagesJsonl(tmp_path / "d" / "messages.jsonl")
    records = _lines(tmp_path / "d" / "records.jsonl")
    assert len(rows) == len(records) == facts["stats"]["instances"] == 19
    assert facts["stats"]["in_out"] == "T+I+A+V→T+I+A+V"
    assert records[0]["id"] == ids[1] and records[0]["writer"] == "grammar, edited"
    assert "Hm. " in rows[0][1].text
    media = _lines(tmp_path / "d" / "media.jsonl")
    for row in media:
        assert row["licence"] == "CC0" and row["how"] == "retrieved" and row["source"] == "toy"
        assert file_digest(tmp_path / "d" / row["path"]) == row["sha256"]
    files = {path.relative_to(tmp_path / "d").as_posix() for path in (tmp_path / "d").rglob("*.*")}
    assert set(facts["files"]) == files - {"dataset.json"}
    for name, digest in facts["files"].items():
        assert file_digest(tmp_path / "d" / name) == digest
    assert json.loads((tmp_path / "d" / "dataset.json").read_text()) == facts
    card = (tmp_path / "d" / "README.md").read_text()
    assert card.startswith("# toy 1.2.0") and "| rejected in review | 1 |" in card
    assert "1 accepted (1 edited), 1 rejected" in card and "CC0" in card
    with pytest.raises(ValueError, match="it exists; a version is written once"):
        publish(work, tmp_path / "d", ANY)


def test_no_more_is_published_than_is_wanted(work: Path, tmp_path: Path) -> None:
    whole = publish(work, tmp_path / "whole", ANY)
    assert whole["stats"]["instances"] == 20 and "MosIT" in whole["description"]
    facts = publish(work, tmp_path / "some", ANY, limit=7, description="A few of ours.")
    assert facts["stats"]["instances"] == 7
    records = [_lines(tmp_path / name / "records.jsonl") for name in ("some", "whole")]
    assert records[0] == records[1][:7]
    assert facts["dropped"] == whole["dropped"]
    assert "A few of ours." in (tmp_path / "some" / "README.md").read_text()
    more = publish(work, tmp_path / "more", ANY, limit=99)
    assert more["stats"]["instances"] == 20


def test_the_same_work_makes_the_same_dataset(work: Path, tmp_path: Path) -> None:
    a, b = (publish(work, tmp_path / name, ANY)["files"] for name in "ab")
    assert a == b


def test_an_edit_may_ask_for_a_medium(work: Path, tmp_path: Path) -> None:
    with Journal(work / DECISIONS) as decisions:
        review = Review(filled_dialogues(work), decisions)
        id = review.overview()["dialogues"][0]["id"]
        review.decide(id, "accept", review.show(id)["text"] + " [image: a purple submarine]")
    assert publish(work, tmp_path / "a", ANY)["dropped"] == {"a medium was not found": 1}
    generator = Generator(make=lambda *_: Image(np.zeros((4, 4, 3), np.uint8)), source="model")
    filler = Filler([], folder=work / "media", generator=generator)
    facts = publish(work, tmp_path / "b", ANY, filler=filler)
    assert facts["stats"]["instances"] == 20
    made = [row for row in _lines(tmp_path / "b" / "media.jsonl") if row["how"] == "generated"]
    assert [row["asked"] for row in made] == ["a purple submarine"]


def test_held_out_media_are_left_out(work: Path, items: list[Item], tmp_path: Path) -> None:
    held = tmp_path / "held.csv"
    held.write_text(f"path,caption\n{items[0].path},x\n")
    facts = publish(work, tmp_path / "d", ANY, held_out=read_held_out([held]))
    assert facts["dropped"]["a medium of an evaluation set"] > 0
    assert str(items[0].path) not in (tmp_path / "d" / "media.jsonl").read_text()
    assert facts["made"]["held out"] == "checked against evaluation sets"


def test_media_without_licence_are_named(tmp_path: Path, items: list[Item]) -> None:
    record = Record(
        conversation=[Message("user", Image(items[0].path)), Message("assistant", "a tent")],
        origins=[Origin(how="given")],
        about={"id": "x"},
    )
    release = Release(name="n", version="1", description="d", made={})
    write_release([record], tmp_path / "d", release, copy_media=False)
    card = (tmp_path / "d" / "README.md").read_text()
    assert "Nobody stated a licence for 1 media" in card and "Nothing." in card
    assert not (tmp_path / "d" / "media").exists()
    with pytest.raises(ValueError, match="x: the image None has no file; fill it first"):
        lost = Record(
            conversation=[Message("assistant", Image(caption=None))],
            origins=[Origin(how="given")],
            about={"id": "x"},
        )
        write_release([lost], tmp_path / "e", release)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]


def test_there_must_be_something_filled(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it has no filled.jsonl; make it with: anyweave"):
        publish(tmp_path, tmp_path / "d")


BUILD = """
import sys
from anyweave_making.mosit import Grammar, build_drafts, read_topics
topics = read_topics()
build_drafts(Grammar(topics), topics, sys.argv[1], num=300)
"""


def test_killed_while_building_it_goes_on_without_loss_or_duplicates(tmp_path: Path) -> None:
    work = tmp_path / "work"
    builder = subprocess.Popen([sys.executable, "-c", BUILD, str(work)])
    deadline = time.monotonic() + 100
    while not (work / DRAFTS).exists() or (work / DRAFTS).read_bytes().count(b"\n") < 10:
        assert time.monotonic() < deadline and builder.poll() is None
        time.sleep(0.005)
    os.kill(builder.pid, signal.SIGKILL)
    builder.wait()
    assert (work / DRAFTS).read_bytes().count(b"\n") < 301
    topics = read_topics()
    for folder in (work, tmp_path / "whole"):
        build_drafts(Grammar(topics), topics, folder, num=300)
    assert (work / DRAFTS).read_text() == (tmp_path / "whole" / DRAFTS).read_text()


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
