"""Whole files and folders: what is left when a process dies, or the disk is full, at any point."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from anyweave import files

DyingAt = Callable[[int, Callable[[], object]], bool]


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_file_is_old_or_new_wherever_its_writer_dies(tmp_path: Path, dying_at: DyingAt) -> None:
    path = tmp_path / "a.json"
    number, dying = 0, True
    while dying:
        path.write_text("old")
        dying = dying_at(number, lambda: files.write_json(path, {"new": 1}))
        assert path.read_text() in ("old", '{\n  "new": 1\n}\n')
        files.sweep(tmp_path)
        assert hidden(tmp_path) == []
        number += 1
    assert number > 4 and json.loads(path.read_text()) == {"new": 1}


def test_a_folder_is_absent_or_whole_wherever_its_writer_dies(
    tmp_path: Path, dying_at: DyingAt
) -> None:
    folder = tmp_path / "data"

    def write() -> None:
        with files.whole_folder(folder) as fresh:
            (fresh / "a").write_text("1")
            (fresh / "sub").mkdir()
            (fresh / "sub" / "b").write_text("2")

    number, dying = 0, True
    while dying:
        shutil.rmtree(folder, ignore_errors=True)
        dying = dying_at(number, write)
        assert not folder.exists() or contents(folder) == {"a": "1", "sub/b": "2"}
        files.sweep(tmp_path)
        assert hidden(tmp_path) == []
        number += 1
    assert folder.is_dir() and number > 6


@pytest.mark.parametrize("keep", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_folder_is_replaced_whole_wherever_its_writer_dies(
    tmp_path: Path, keep: bool, dying_at: DyingAt
) -> None:
    folder = tmp_path / "model"
    old = {"a": "old", "lora": "old", "parts/x": "old", "parts/y": "old", "other/z": "theirs"}
    new = {"a": "new", "b": "new", "parts/x": "new"} | ({"other/z": "theirs"} if keep else {})

    def write() -> None:
        with files.replaced_folder(folder, keep=keep) as fresh:
            (fresh / "parts").mkdir()
            for name in ("a", "b", "parts/x"):
                (fresh / name).write_text("new")
            if keep:
                files.drop(fresh, ["lora"])

    number, dying, seen = 0, True, set()
    while dying:
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in old.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        dying = dying_at(number, write)
        files.settle(folder)
        files.sweep(folder)
        assert contents(folder) in (old, new), f"a mixture after step {number}"
        assert hidden(folder) == [] and not (tmp_path / "model" / files.NEXT).exists()
        seen.add(contents(folder) == new)
        number += 1
    assert seen == {True, False} and number > 10


def test_a_living_writer_is_not_swept(tmp_path: Path) -> None:
    with files.whole_folder(tmp_path / "a") as fresh:
        (fresh / "x").write_text("1")
        code = "import sys; from anyweave.files import sweep; print(sweep(sys.argv[1]))"
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
        )
        assert done.stdout.strip() == "[]", done.stderr
        assert (fresh / "x").is_file()
    assert contents(tmp_path) == {"a/x": "1"}


def test_the_files_of_others_are_not_swept(tmp_path: Path) -> None:
    for name in (".notes.tmp", ".a.tmp.lock", ".a.0123abcd.tmp", "b.0123abcd.tmp.lock"):
        (tmp_path / name).write_text("theirs")
    assert files.sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


def test_a_first_write_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    for name in (".a.json.0123abcd.tmp", ".a.json.0123abcd.tmp.lock"):
        (tmp_path / name).write_text("left")
    files.write_json(tmp_path / "b.json", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    yield


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x").write_text("old")
    told = r"cannot be written: No space left on device. What was there before is unharmed"
    with pytest.raises(ValueError, match=told) as caught, files.whole_file(tmp_path / "a") as file:
        file.write(b"new")
    assert isinstance(caught.value, OSError) and caught.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match=told), files.replaced_folder(tmp_path / "model") as fresh:
        (fresh / "x").write_text("new")
    assert contents(tmp_path) == {"a": "old", "model/x": "old"}


TEXT = "from anyweave.files import write_text; work = lambda: write_text(sys.argv[1], 'x' * 9999)"
TENSORS = """
import torch; from anyweave.tensors import save_tensors
work = lambda: save_tensors({'x': torch.zeros(100_000)}, sys.argv[1])
"""


@pytest.mark.parametrize("work", [TEXT, pytest.param(TENSORS, marks=pytest.mark.slow)])
def test_a_really_full_disk(tmp_path: Path, work: str) -> None:
    """The system refuses to write more than so many bytes into one file."""
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); work()"
    code = f"import resource, sys\n{work}\n{limit}"
    path = tmp_path / "w.safetensors"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "NotWrittenError" in done.stderr and "cannot be written" in done.stderr
    assert contents(tmp_path) == {"w.safetensors": "old"}


def test_a_lock_is_of_one_process_and_ends_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    code = (
        "import sys, time; from anyweave.files import path_lock\n"
        "with path_lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with (
            pytest.raises(ValueError, match="run is in use: another process trains in it"),
            files.path_lock(folder, doing="trains in it"),
        ):
            pass
    finally:
        other.kill()
        other.wait()
    with files.path_lock(folder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_outputs_of_two_commands_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "reply-3.png").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds earlier replies \(reply-3.png\).*--overwrite"):
        files.check_unmixed(tmp_path, ["reply-*"], what="replies")
    files.check_unmixed(tmp_path, ["reply-*"], overwrite=True)
    files.clear(tmp_path, ["reply-*"])
    assert contents(tmp_path) == {"mine.txt": "mine"}
    assert files.free_folder(tmp_path).name == f"{tmp_path.name}-2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "damaged"),
        ('{"a": 1', "damaged"),
        ("\x00\x01", "damaged"),
        ('{"a": NaN}', "no number"),
        ('{"a": 1e999}', "too large"),
        ("[" * 100 + "]" * 100, "too deep"),
        ("[" * 100_000, "too deep"),
        ("1" * 5000, "damaged"),
        ('"' + "x" * 200 + '"', "larger than 100 bytes"),
    ],
)
def test_json_is_read_within_bounds(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    bound = {"max_bytes": 100} if "larger" in reason else {}
    with pytest.raises(ValueError, match=rf"a\.json.*{reason}"):
        files.read_json(path, **bound)


def test_json_that_is_not_there_or_no_text_or_no_object(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is missing"):
        files.read_json(tmp_path / "none.json")
    with pytest.raises(ValueError, match="cannot be read"):
        files.read_json(tmp_path)
    (tmp_path / "a").write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="damaged"):
        files.read_json(tmp_path / "a")
    (tmp_path / "a").write_text("[1]")
    with pytest.raises(ValueError, match="damaged: it holds a list, expected a JSON object"):
        files.read_object(tmp_path / "a")
