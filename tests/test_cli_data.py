"""The commands that build and count datasets, from a table of captions to a card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from anyweave import media
from anyweave.cli import app, main

COMMANDS = [
    "data stats",
    "data t2m",
    "data mosit build",
    "data mosit fill",
    "data mosit review",
    "data mosit release",
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with a picture and a sound for each of two captions of our own topics."""
    rows = ["path,caption,licence"]
    for number, caption in enumerate(("a tabby cat asleep on a radiator", "a black kitten")):
        media.save("image", np.full((4, 4, 3), number, np.uint8), tmp_path / f"{number}.png")
        rows.append(f"{number}.png,{caption},CC0")
    for number, caption in enumerate(("a cat purring", "a cat meowing at a door")):
        media.save(
            "audio", np.full(8, number / 2, np.float32), tmp_path / f"{number}.wav", rate=8000
        )
        rows.append(f"{number}.wav,{caption},CC0")
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"anyweave {command}" in result.stdout


def _run(*arguments: object) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 0


def test_t2m_and_its_row(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run("data", "t2m", tmp_path / "t2m", "--collection", table, "--per-item", "3", "--copy-media")
    assert "12 conversations, T→T+I/A, 2/0/2" in capsys.readouterr().out
    assert (tmp_path / "t2m" / "media" / "audio").is_dir()
    _run("data", "stats", tmp_path / "t2m", "--json")
    row = json.loads(capsys.readouterr().out)
    assert (row["in_out"], row["mean_turns"], row["instances"]) == ("T→T+I/A", 1.0, 12)
    _run("data", "stats", tmp_path / "t2m")
    assert "2/0/2" in capsys.readouterr().out
    card = (tmp_path / "t2m" / "README.md").read_text()
    assert "| image | given | mine | CC0 | 2 |" in card  # the table's name is its source


def test_mosit_from_drafts_to_a_card(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    _run("data", "mosit", "build", work, "-n", "6", "--ground", table)
    assert "6 of 6 drafts" in capsys.readouterr().out
    _run("data", "mosit", "fill", work, "--collection", table)
    assert "6 dialogues have all their media" in capsys.readouterr().out
    _run("data", "mosit", "release", work, tmp_path / "d", "--version", "2.0", "--min-turns", "4")
    said = capsys.readouterr().out
    assert "left out:" in said and "(not 4 to 7 turns)" in said
    assert (tmp_path / "d" / "README.md").read_text().startswith("# mosit 2.0")


def _fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    return capsys.readouterr().err


def test_mistakes_end_in_one_line(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _fails(capsys, "data", "mosit", "fill", tmp_path)
    assert "nothing to fill from: give --collection, --generate or both" in said
    t2m = ("data", "t2m", tmp_path / "t2m", "--collection", table, "--llm", "http://127.0.0.1:9/v1")
    assert "which model? give --llm-model" in _fails(capsys, *t2m)
    said = _fails(capsys, *t2m, "--llm-model", "m", "--price", "3")
    assert "--price is two numbers like 2.5,10, got '3'" in said
    assert "has no messages.jsonl" in _fails(capsys, "data", "stats", tmp_path)


def test_nothing_is_asked_before_the_user_agrees(table: Path, tmp_path: Path) -> None:
    arguments = ["data", "t2m", tmp_path / "t2m", "--collection", table]
    arguments += ["--llm", "http://127.0.0.1:9/v1", "--llm-model", "m", "--price", "5,10"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input="n\n")
    assert result.exit_code == 1
    assert "4 requests, 0 of them answered before" in result.output
    assert "Go on?" in result.output and not (tmp_path / "t2m").exists()
