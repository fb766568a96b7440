"""The talk of emoji-mini as data sets on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from anyweave import media
from anyweave.cli import app
from anyweave.data import read_messages
from anyweave.files import file_digest
from emoji_mini.emoji_talk.releasing import DATA_SETS, write_data_sets
from emoji_mini.emoji_talk.source import Dialogues

SMALL = {"emoji-mosit": 4, "emoji-chats": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("emoji")
    facts = write_data_sets(folder, SMALL, seed=3)
    assert {name: made["stats"]["instances"] for name, made in facts.items()} == SMALL
    return folder


@pytest.mark.parametrize("name", SMALL)
def test_every_conversation_fits_and_its_media_open(folder: Path, name: str) -> None:
    filters = DATA_SETS[name].filters
    for conversation in read_messages(folder / name / "messages.jsonl"):
        turns = sum(message.role == "assistant" for message in conversation)
        assert filters.min_turns <= turns <= filters.max_turns
        parts = [part for message in conversation for part in message.media()]
        assert len({part.modality for part in parts}) >= filters.min_modalities
        assert all(media.load(part).size and part.caption for part in parts)
    card = (folder / name / "README.md").read_text()
    assert "MIT (Fluent Emoji)" in card and "checked against evaluation sets" in card


def test_a_stopped_run_goes_on_to_the_same(folder: Path, tmp_path: Path) -> None:
    @contextmanager
    def stopping(title: str) -> Iterator[Callable[[int, int], None]]:
        def progress(done: int, total: int) -> None:
            if done == 3:
                raise KeyboardInterrupt

        yield progress

    chats = {"emoji-chats": SMALL["emoji-chats"]}
    with pytest.raises(KeyboardInterrupt):
        write_data_sets(tmp_path, chats, seed=3, bar=stopping)
    write_data_sets(tmp_path, chats, seed=3)
    lines = [(path / "emoji-chats" / "records.jsonl").read_text() for path in (folder, tmp_path)]
    assert lines[0] == lines[1]


def test_what_is_there_stays_and_another_is_refused(folder: Path) -> None:
    stamp = file_digest(folder / "emoji-chats" / "dataset.json")
    write_data_sets(folder, {"emoji-chats": 6}, seed=3)
    assert file_digest(folder / "emoji-chats" / "dataset.json") == stamp
    for num, seed in ((7, 3), (6, 4)):
        with pytest.raises(ValueError, match=r"holds 6 conversations of seed 3, wanted are"):
            write_data_sets(folder, {"emoji-chats": num}, seed=seed)


def test_the_command_says_what_is_there(folder: Path) -> None:
    arguments = ["data", "emoji", str(folder), "--mosit", "4", "--chats", "6", "--seed", "3"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = result.output.replace("\n", "")
    assert "emoji-mosit: 4 conversations" in said and "emoji-chats: 6 conversations" in said


def test_a_draft_is_what_is_said_before_it_is_rendered() -> None:
    talks = Dialogues("train", 3, kinds={"joke": 1.0}, goes_on=False)
    kind, talk = talks.draft(1)
    assert kind == "joke" and talk.turns[0][0] == "user"
