"""Votes: on disk at once, summed up right, exported."""

from __future__ import annotations

import csv
import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anyweave.evaluation.human import ASPECTS, Vote, Votes, summarise, votes_csv
from anyweave.evaluation.human import votes as votes_module


def vote(rater: str, request: str, a: int, b: int, best: str | None) -> Vote:
    scores = {"A": dict.fromkeys(ASPECTS, a), "B": dict.fromkeys(ASPECTS, b)}
    return Vote(rater=rater, request=request, scores=scores, best=best)


GIVEN = [vote("ann", "0", 8, 4, "A"), vote("bob", "0", 6, 4, "A"), vote("ann", "1", 5, 5, None)]


def test_they_are_kept_and_replaced(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "v.sqlite")
    for one in [vote("ann", "0", 1, 1, None), *GIVEN]:
        votes.add(one)
    votes.close()
    again = Votes(tmp_path / "v.sqlite")
    assert sorted(again.all(), key=str) == sorted(GIVEN, key=str)
    assert set(again.of("ann")) == {"0", "1"} and again.of("eve") == {}


CHILD = """
import runpy, sys, time
found = runpy.run_path(sys.argv[1])  # by path: the package would import torch
votes = found["Votes"](sys.argv[2])
scores = {"A": dict.fromkeys(found["ASPECTS"], 7)}
votes.add(found["Vote"](rater="ann", request="0", scores=scores, best="A"))
votes._base.execute("INSERT INTO scores VALUES ('ann', '1', 'A', 'quality', 1)")  # half a vote
print("voted", flush=True)
time.sleep(60)
"""


def test_a_killed_server_loses_no_vote(tmp_path: Path) -> None:
    path = tmp_path / "v.sqlite"
    command = [sys.executable, "-c", CHILD, votes_module.__file__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None and run.stdout.readline() == b"voted\n"
        run.send_signal(signal.SIGKILL)
    assert [(v.rater, v.request, v.best) for v in Votes(path).all()] == [("ann", "0", "A")]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no data base" * 100)
    with pytest.raises(ValueError, match="is no file of votes"):
        Votes(tmp_path / "x")


def test_results() -> None:
    other = Vote(rater="eve", request="0", scores={"C": dict.fromkeys(ASPECTS, 1)}, best=None)
    found = summarise([*GIVEN, other], ("A", "B"))
    assert (found.votes, found.raters, found.requests, found.left_out) == (3, 2, 2, 1)
    assert found.means["A"]["quality"].value == 19 / 3
    assert found.means["A"]["quality"].trials == 2  # requests, not votes
    assert found.means["B"]["rationality"].interval == (4.0, 5.0)
    assert found.preferred["A"].value == pytest.approx(2.5 / 3)
    # Two pairable units of two raters: A got 8 and 6, B 4 and 4.
    assert found.alpha["quality"] == pytest.approx(1 - (8 / 1) / ((4 + 16 + 16 + 4 + 4) * 2 / 3))
    assert found.alpha["preference"] is None  # one request had two raters, who agreed
    assert "not known" in found.to_markdown() and "Left out: 1 votes" in found.to_markdown()
    with pytest.raises(ValueError, match="no vote on A, C together; there are votes on A, B, C"):
        summarise([*GIVEN, other], ("A", "C"))


def test_the_export_is_a_table_no_spreadsheet_obeys() -> None:
    rows = list(csv.DictReader(io.StringIO(votes_csv([*GIVEN, vote("=cmd()", "2", 1, 2, "B")]))))
    assert len(rows) == 8 and rows[0]["quality"] == "8" and rows[0]["best"] == "1"
    assert rows[4]["best"] == "tie" and rows[-1]["rater"] == "'=cmd()"
