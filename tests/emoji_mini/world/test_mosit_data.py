"""Emoji MosIT: its situations as files, and the data sets that are built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave.data import MessagesJsonl
from anyweave.files import file_digest
from anyweave.messages import Part, Text
from anyweave_making.mosit.dialogue import media_of
from emoji_mini.world.mosit import DATASETS, build_emoji_data, read_bank, read_situations
from emoji_mini.world.mosit.build import SETTINGS_FILE, medium_of
from emoji_mini.world.reading import scene_of

# --- situations as files


def test_situations_that_the_world_does_not_know_are_named(tmp_path):
    row = situation_row()
    (tmp_path / "mine.toml").write_text(row.replace('"sky"', '"moon"'))
    with pytest.raises(ValueError, match=r"mine.toml: 'a': the world has no 'moon' \(places\)"):
        read_situations(tmp_path)


def test_situations_have_different_names(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(situation_row())
    with pytest.raises(ValueError, match="there are two situations 'a'"):
        read_situations(tmp_path)


def situation_row() -> str:
    lines = {key: ["x"] for key in ("opening", "reply", "love", "outside")}
    for kind in ("image", "video", "audio"):
        lines |= {f"hint_{kind}": ["x"], f"shown_{kind}": ["x"]}
    lists = {"things": ["dog"], "sounds": ["dog"], "places": ["sky"], **lines}
    pairs = {"talk": [["x", "y"]], "closing": [["x", "y"]], "plan": ["x", "y"]}
    rows = [f"{key} = {json.dumps(value)}" for key, value in {**lists, **pairs}.items()]
    return "\n".join(["[[situation]]", 'name = "a"', *rows, ""])


def test_situations_and_bank_are_read_once():
    assert read_situations() is read_situations() and read_bank() is read_bank()


# --- data sets


SMALL = {"emoji-mosit": 12, "emoji-chats": 20}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "emoji"
    build_emoji_data(folder, num=SMALL, seed=3)
    return folder


def content_of(folder: Path) -> Mapping[str, object]:
    """Conversations with their media by content; clips by caption, as H.264 differs in a few bits
    from one encoding to the next.
    """
    content: dict[str, object] = {}
    for name in SMALL:
        rows = MessagesJsonl(folder / name / "messages.jsonl")
        content[name] = [
            [(message.role, [identity(part) for part in message.parts]) for message in row]
            for row in rows
        ]
        content[f"{name}, records"] = (folder / name / "records.jsonl").read_text()
        content[f"{name}, made"] = facts_of(folder / name)["made"]
    return content


def identity(part: Part) -> tuple[str, ...]:
    if isinstance(part, Text):
        return ("text", part.text)
    digest = "" if part.modality == "video" else file_digest(str(part.source))
    return (part.modality, str(part.caption), digest)


def facts_of(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())


@pytest.mark.parametrize("name", SMALL)
def test_a_data_set_is_whole(built, name):
    facts = facts_of(built / name)
    assert (facts["name"], facts["version"]) == (name, "1.0.0")
    assert facts["description"] == DATASETS[name].description
    assert facts["made"]["drafts"]["writer"] == "emoji grammar"
    assert facts["made"]["drafts"]["seed"] == 3
    assert facts["stats"]["instances"] == len(MessagesJsonl(built / name / "messages.jsonl"))
    there = {p.relative_to(built / name).as_posix() for p in (built / name).rglob("*.*")}
    assert there == {*facts["files"], "dataset.json"}
    for path, digest in facts["files"].items():
        assert file_digest(built / name / path) == digest
    assert {row["how"] for row in facts["media"]} == {"generated"}
    assert all("MIT" in row["licence"] for row in facts["media"])


def test_as_many_are_written_as_are_wanted(built):
    counts = {name: facts_of(built / name)["stats"]["instances"] for name in SMALL}
    assert counts == SMALL


@pytest.mark.parametrize("name", SMALL)
def test_all_media_open_and_are_what_their_captions_say(built, name):
    rows = MessagesJsonl(built / name / "messages.jsonl")
    parts = [part for row in rows for part in media_of(row)]
    assert len({part.modality for part in parts}) == 3
    for part in parts:
        found = media.load(part)
        assert scene_of(part.modality, part.caption) is not None
        assert found.shape[:-1] == {"image": (64, 64), "video": (8, 64, 64), "audio": ()}[
            part.modality
        ]  # fmt: skip


def test_a_stopped_run_goes_on(built, tmp_path):
    """StoppedError wherever it is, in the end there is what an undisturbed run writes."""
    folder = tmp_path / "emoji"
    for step in ("emoji-mosit, drafts", "emoji-mosit, media", "emoji-chats, media"):
        with pytest.raises(StoppedError):
            build_emoji_data(folder, num=SMALL, seed=3, bar=stopping_at(step))
    assert (folder / "emoji-mosit" / "dataset.json").is_file()
    assert not (folder / "emoji-chats").exists()
    steps: list[str] = []
    build_emoji_data(folder, num=SMALL, seed=3, bar=noting(steps))
    assert content_of(folder) == content_of(built)
    # What was done is not done again.
    assert steps[0] == "emoji-chats, drafts: 25 of 25" and "emoji-chats, media: 5 of 25" in steps


class StoppedError(Exception):
    """Somebody pulled the plug."""


def stopping_at(step: str):
    @contextmanager
    def bar(title: str) -> Iterator:
        def progress(done: int, total: int) -> None:
            if title == step and done == 5:
                raise StoppedError

        yield progress

    return bar


def noting(steps: list[str]):
    @contextmanager
    def bar(title: str) -> Iterator:
        yield lambda done, total: steps.append(f"{title}: {done} of {total}")

    return bar


def test_what_is_there_stays_as_it_is(built):
    before = (built / "emoji-mosit" / "dataset.json").stat().st_mtime_ns
    facts = build_emoji_data(built, num=SMALL, seed=3, bar=stopping_at(""))
    assert facts == {name: facts_of(built / name) for name in DATASETS}
    assert (built / "emoji-mosit" / "dataset.json").stat().st_mtime_ns == before


def test_unknown_data_sets_and_other_seeds_are_refused(built, tmp_path):
    with pytest.raises(ValueError, match="unknown data set 'mosit'; there are emoji-mosit, emoji-"):
        build_emoji_data(tmp_path, num={"mosit": 3})
    with pytest.raises(StoppedError):
        build_emoji_data(tmp_path, num=SMALL, bar=stopping_at("emoji-mosit, drafts"))
    with pytest.raises(ValueError, match="made otherwise: seed was 0, is 1"):
        build_emoji_data(tmp_path, num=SMALL, seed=1)
    (tmp_path / SETTINGS_FILE).unlink()  # the journal tells too
    with pytest.raises(ValueError, match="begun with seed=0, now it is 1"):
        build_emoji_data(tmp_path, num=SMALL, seed=1)


@pytest.mark.parametrize("older", [False, True])
def test_data_sets_of_another_seed_are_told_and_not_mixed(built, tmp_path, older):
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    if older:
        (folder / SETTINGS_FILE).unlink()
    with pytest.raises(ValueError, match="made otherwise: seed was 3, is 8"):
        build_emoji_data(folder, num=SMALL, seed=8)
    if not older:
        with pytest.raises(ValueError, match="num was .* is .*'emoji-mosit': 99"):
            build_emoji_data(folder, num={**SMALL, "emoji-mosit": 99}, seed=3)


def test_a_medium_is_made_of_its_caption():
    made = medium_of("image", "two foxes on a beach", 4)
    assert made is not None and made.caption == "two foxes on a beach"
    assert np.array_equal(media.load(made), media.load(medium_of("image", made.caption, 4)))
    assert not np.array_equal(media.load(made), media.load(medium_of("image", made.caption, 5)))
    assert medium_of("image", "two dragons on a beach", 4) is None
