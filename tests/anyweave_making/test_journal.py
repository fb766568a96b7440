"""The journal: nothing is lost or comes twice, what does not belong together is refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anyweave_making.journal import GivenUpError, Journal, work_through


def test_rows_come_back_and_the_last_of_a_key_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"seed": 1}) as journal:
        journal.append("x", {"n": 1})
        journal.append("y", {"n": 2})
        journal.append("x", {"n": 3})
    with Journal(tmp_path / "a.jsonl", {"seed": 1}) as journal:
        assert dict(journal) == {"x": {"n": 3}, "y": {"n": 2}}
        assert journal.settings == {"seed": 1}


def test_half_a_line_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with Journal(path, {"seed": 1}) as journal:
        journal.append("x", {"n": 1})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "y", "n"')
    with Journal(path, {"seed": 1}) as journal:
        assert list(journal) == ["x"]
        journal.append("z", {"n": 2})
    with Journal(path) as journal:
        assert list(journal) == ["x", "z"]


@pytest.mark.parametrize("line", ["nonsense", "{}", "[]", '"key"'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"settings": {{}}}}\n{line}\n')
    with pytest.raises(ValueError, match=re.escape(f"{path}:2: not a line of a journal")):
        Journal(path)
    path.write_text("")  # the refused one holds no lock
    Journal(path).close()


def test_other_settings_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "a.jsonl", {"seed": 1, "turns": (3, 7)}):
        pass
    with Journal(tmp_path / "a.jsonl", {"seed": 1, "turns": (3, 7)}):
        pass
    with pytest.raises(ValueError, match="this work was begun with seed=1, now it is 2"):
        Journal(tmp_path / "a.jsonl", {"seed": 2, "turns": (3, 7)})


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "a.jsonl"),
        pytest.raises(ValueError, match="another process is writing it"),
    ):
        Journal(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match="there is no folder"):
        Journal(tmp_path / "none" / "a.jsonl")


@pytest.mark.parametrize("workers", [1, 3])
def test_work_is_done_once_and_failures_are_written_down(tmp_path: Path, workers: int) -> None:
    made, seen = [], []

    def make(key: str) -> dict[str, object]:
        made.append(key)
        if key == "2":
            raise GivenUpError("too hard")
        return {"n": int(key)}

    keys = [str(n) for n in range(8)]
    with Journal(tmp_path / "a.jsonl") as journal:
        journal.append("5", {"n": 5})
        work_through(
            journal, keys, make, workers=workers, progress=lambda done, total: seen.append(done)
        )
        assert {key: row.get("n") for key, row in journal.items()} == {
            key: None if key == "2" else int(key) for key in keys
        }
        assert journal["2"] == {"failed": "too hard"}
    assert sorted(made) == [key for key in keys if key != "5"]
    assert seen[0] == 1 and seen[-1] == 8 and seen == sorted(seen)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_stops_the_work_and_keeps_what_was_done(tmp_path: Path, workers: int) -> None:
    def make(key: str) -> dict[str, object]:
        if key == "4":
            raise OSError("disk full")
        return {}

    keys = [str(n) for n in range(50)]
    with Journal(tmp_path / "a.jsonl") as journal:
        with pytest.raises(OSError, match="disk full"):
            work_through(journal, keys, make, workers=workers)
        assert "3" in journal and "4" not in journal and len(journal) < 40


WORKER = """
import sys, time
from anyweave_making.journal import Journal, work_through

def make(key):
    time.sleep(0.002)
    return {"made": key * 50}

with Journal(sys.argv[1], {"seed": 0}) as journal:
    work_through(journal, [str(n) for n in range(400)], make, workers=2)
"""


def test_killed_in_the_middle_it_goes_on_without_loss_or_duplicates(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path)])
    deadline = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < 20:
        assert time.monotonic() < deadline and worker.poll() is None
        time.sleep(0.005)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    before = path.read_bytes().count(b"\n") - 1
    assert 0 < before < 400
    with Journal(path, {"seed": 0}) as journal:
        kept = len(journal)
        work_through(journal, [str(n) for n in range(400)], lambda key: {"made": key * 50})
    lines = path.read_text().splitlines()[1:]
    assert kept == before and len(lines) == 400
    with Journal(path) as journal:
        assert {key: row["made"] for key, row in journal.items()} == {
            str(n): str(n) * 50 for n in range(400)
        }
