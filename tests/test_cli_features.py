"""`anyweave data features`, and a run that trains on shards from the cache it filled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anyweave import media
from anyweave.cli import main
from anyweave.processing import FeatureCache
from anyweave.testing.conversations import tiny_media
from anyweave.testing.model import tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and two shards of six conversations: a picture is described, another is made."""
    folder = tmp_path_factory.mktemp("features")
    tiny_model().save_pretrained(folder / "model")
    (folder / "shards").mkdir()
    for number in range(6):
        name = f"{number}.png"
        media.save("image", tiny_media("image", number).source, folder / "shards" / name)
        picture = {"type": "image", "path": name}
        shown = [
            {"role": "user", "content": [picture]},
            {"role": "assistant", "content": f"dot {number}"},
        ]
        made = [
            {"role": "user", "content": f"dot {number}"},
            {"role": "assistant", "content": [{**picture, "caption": f"dot {number}"}]},
        ]
        with open(folder / "shards" / f"{number % 2}.jsonl", "a") as file:
            file.write("".join(json.dumps({"messages": m}) + "\n" for m in (shown, made)))
    return folder


def run(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return stopped.value.code


def test_shards_are_cached_and_trained_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, model = tmp_path / "cache", folder / "model"
    command = ["data", "features", folder / "shards", "--model", model, "--cache", cache, "--half"]
    assert run(*command, "--processes", 2, "--json") == 0
    filled = json.loads(capsys.readouterr().out)
    assert filled["entries"] == 18 and filled["problems"] == []  # of each six
    assert run(*command) == 0
    assert "18 entries" in capsys.readouterr().out
    settings = [f"cache_dir={cache}", "steps=2", "data.batch_size=3", "data.args.buffer=8"]
    sets = [item for setting in [*settings, "data.args.block=2"] for item in ("--set", setting)]
    train = ["train", "stage2", "--data", folder / "shards", "--model", model]
    assert run(*train, "--out", tmp_path / "run", *sets) == 0
    assert FeatureCache(cache).store.usage()[0] == 18


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--share", "0/3"], "--share is like 2/4, the second of four; got '0/3'"),
        (["--max-gb", "0.000001"], "is full with 0 entries"),
        (["--format", "mosit-legcy"], "did you mean 'mosit-legacy'"),
    ],
)
def test_mistakes(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    problem: str,
) -> None:
    command = ["data", "features", folder / "shards", "--model", folder / "model"]
    assert run(*command, "--cache", tmp_path / "cache", *arguments) == 2
    assert problem in " ".join(capsys.readouterr().err.split())
