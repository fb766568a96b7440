"""``anyweave data convert`` and ``data validate`` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anyweave.cli import main
from anyweave.data import Records

from .conftest import WriteJson


def run(*arguments: str) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_convert_there_and_back(
    folder: Path, write_json: WriteJson, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"picture": "a.png", "title": "a cat"}, {"picture": "gone.png", "title": "x"}]
    source = str(write_json(rows, "sub.jsonl"))
    columns = ["--column", "image=picture", "--column", "caption=title"]
    out = str(folder / "out.jsonl")
    command = ["data", "convert", source, out, "--from", "pairs", *columns, "--media", str(folder)]
    assert run(*command) == 2
    assert "sub.jsonl:2: image: no such media file" in " ".join(capsys.readouterr().err.split())
    assert run(*command, "--skip") == 0
    said = capsys.readouterr().out
    assert "left out: 1 (no such media file)" in said and "1 of 2 records of" in said
    assert run("data", "convert", out, str(folder / "back.csv"), "--to", "cc3m", "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] == 1
    assert Records(folder / "back.csv", "cc3m")[0][1].text == "a cat"


def test_convert_says_what_is_lost(
    folder: Path, write_json: WriteJson, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"audio": "b.wav", "caption": "rain"}]
    source, ours, theirs = write_json(rows), str(folder / "1.jsonl"), str(folder / "2.json")
    assert run("data", "convert", str(source), ours, "--task", "generate") == 0
    assert run("data", "convert", ours, theirs, "--to", "ms-swift") == 0
    assert "lost: captions of media, of 1 conversations" in capsys.readouterr().out


def test_show_knows_every_role(write_json: WriteJson, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    assert run("data", "show", str(write_json([row]))) == 0
    assert "System: Be brief.\nHuman: Hi\nMachine: Yo" in capsys.readouterr().out


def test_validate(folder: Path, write_json: WriteJson, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"image": "a.png", "caption": "a cat"}
    source = str(write_json([good, {"image": "b.wav", "caption": "x"}, {"caption": "y"}]))
    clean = str(folder / "clean.json")
    assert run("data", "validate", source, "--workers", "0", "--clean", clean) == 1
    said = capsys.readouterr().out
    assert f"{source}:6: {folder}/b.wav: it holds audio (WAV), not an image" in said
    assert f"{source}:10: no medium; its key is one of" in said
    assert "1 of 3 records are good, with 2 media read" in said and "clean.json: the good" in said
    assert run("data", "validate", clean, "--workers", "0", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == [] and report["records"] == report["good_records"] == 1


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--media", "a", "--media", "b"], "--media is one folder, or image=FOLDER"),
        (["--column", "caption"], "--column is our name and the file's, for example"),
        (["--task", "draw"], "unknown task 'draw'; a task is describe, generate"),
        (
            ["--media", "smell=x"],
            "media folders are for image, video, audio, depth, table, got 'smell'",
        ),
        (["--format", "llawa"], "unknown format 'llawa'; did you mean 'llava'?"),
    ],
)
def test_wrong_options(
    folder: Path,
    write_json: WriteJson,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    problem: str,
) -> None:
    source = str(write_json([{"image": "a.png", "caption": "a cat"}]))
    assert run("data", "validate", source, "--workers", "0", *options) == 2
    assert problem in " ".join(capsys.readouterr().err.split())
