"""Converting: media by relative path, whole or not at all, stopped and gone on, and what is left
out is counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anyweave import media
from anyweave.data import Records
from anyweave.data.conversion import convert

from .conftest import WriteJson

PAIRS = [{"image": "a.png", "caption": f"cat {number}"} for number in range(200)]


def bad(count: int = 1) -> list[dict[str, str]]:
    return [{"image": f"gone{number}.png", "caption": "x"} for number in range(count)]


def test_media_are_named_by_relative_path(folder: Path, write_json: WriteJson) -> None:
    source = write_json(PAIRS[:2])
    out = folder / "deep" / "er"
    out.mkdir(parents=True)
    done = convert(Records(source), out / "out.jsonl")
    assert (done.records, done.written, done.resumed_at) == (2, 2, 0)
    row = json.loads((out / "out.jsonl").read_text().splitlines()[0])
    assert row["messages"][0]["content"][0] == {"type": "image", "path": "../../a.png"}
    assert list(Records(out / "out.jsonl"))[0][0].media()[0].name.endswith("er/../../a.png")
    folder = folder.rename(folder.with_name("moved"))
    assert len(list(Records(folder / "deep" / "er" / "out.jsonl"))) == 2
    assert os.listdir(folder / "deep" / "er") == ["out.jsonl"]


def test_media_are_copied_when_asked_for(folder: Path, write_json: WriteJson) -> None:
    (folder / "out").mkdir()
    convert(Records(write_json(PAIRS[:2])), folder / "out" / "o.jsonl", copy_media=True)
    (folder / "a.png").unlink()
    found = list(Records(folder / "out" / "o.jsonl"))
    assert sorted(os.listdir(folder / "out" / "o_media")) == ["000000_0_0.png", "000001_0_0.png"]
    assert media.load(found[1][0].media()[0]).shape == (8, 8, 3)


def test_a_bad_record_stops_or_is_counted(folder: Path, write_json: WriteJson) -> None:
    source = write_json([*PAIRS[:3], *bad(2), {"caption": "?"}, *PAIRS[3:5]], "rows.jsonl")
    out = folder / "out.jsonl"
    with pytest.raises(ValueError, match=r"rows.jsonl:4: image: no such .*\(--skip leaves such"):
        convert(Records(source, "pairs"), out)
    assert not out.exists()
    done = convert(Records(source, "pairs"), out, skip=True)
    assert (done.written, done.resumed_at) == (5, 3)
    assert done.skipped == {"no such media file": 2, "no medium": 1}
    assert json.loads(json.dumps(done.to_dict()))["skipped"] == dict(done.skipped)
    assert [c[1].text for c in Records(out)] == [f"cat {number}" for number in range(5)]


def test_going_on_is_the_same_as_never_having_stopped(folder: Path, write_json: WriteJson) -> None:
    source = write_json(PAIRS)
    whole, stopped = folder / "whole.jsonl", folder / "stopped.jsonl"
    assert convert(Records(source), whole).written == 200

    class EnoughError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        assert total == 200
        if done == 130:
            raise EnoughError

    with pytest.raises(EnoughError):
        convert(Records(source), stopped, progress=stop)
    part = folder / ".stopped.jsonl.part"
    part.write_bytes(part.read_bytes()[:-7])  # the last line was being written
    steps = []
    done = convert(Records(source), stopped, progress=lambda done, total: steps.append(done))
    assert (done.written, done.resumed_at) == (200, 129) and steps[0] == 130
    assert stopped.read_bytes() == whole.read_bytes()
    assert not [path for path in folder.iterdir() if path.name.startswith(".stopped")]


def test_killed_and_started_again(folder: Path, write_json: WriteJson) -> None:
    source, out = write_json(PAIRS), folder / "out.jsonl"
    code = (
        "import sys, time\n"
        "from anyweave.data import Records\n"
        "from anyweave.data.conversion import convert\n"
        "convert(Records(sys.argv[1]), sys.argv[2], progress=lambda done, _: time.sleep(0.02))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(source), str(out)])
    part = folder / ".out.jsonl.part"
    deadline = time.monotonic() + 120
    while not (part.is_file() and part.stat().st_size > 4000) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(ValueError, match="another process is writing it; wait for that one"):
        convert(Records(source), out)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    done = convert(Records(source), out)
    assert done.written == 200 and 0 < done.resumed_at < 200
    assert [c[1].text for c in Records(out)] == [row["caption"] for row in PAIRS]


def test_another_conversion_is_not_gone_on_with(folder: Path, write_json: WriteJson) -> None:
    source = write_json([PAIRS[0], *bad()])
    for _ in range(2):
        with pytest.raises(ValueError, match="no such media file"):
            convert(Records(source, "pairs"), folder / "out.jsonl")
    with pytest.raises(ValueError, match=r"out.jsonl.part: .* begun with options=.*; remove that"):
        convert(Records(source, "pairs", task="generate"), folder / "out.jsonl")
    write_json([*PAIRS[:2], *bad()])
    with pytest.raises(ValueError, match="begun with records=2, now it is 3; remove that file"):
        convert(Records(source, "pairs"), folder / "out.jsonl")


@pytest.mark.parametrize(
    ("name", "to", "problem"),
    [
        ("rows.json", "pairs", "rows.json is already there; remove it or choose another name"),
        ("no/out.jsonl", "messages", "there is no folder .*no; make it first"),
        ("out.xml", "pairs", "rows are written as .jsonl, .json, .csv or .tsv; name it so"),
        ("out.csv", "messages", "have lists in them, which CSV and TSV cannot hold"),
        ("out.json", "mesages", "unknown format 'mesages'; did you mean 'messages'?"),
    ],
)
def test_targets_that_cannot_be(
    folder: Path, write_json: WriteJson, name: str, to: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        convert(Records(write_json(PAIRS[:2])), folder / name, to)


def test_a_format_that_somebody_else_brought(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = folder / "site" / "poems-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: poems\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[anyweave.formats]\npoems = poems:POEMS\n")
    (folder / "site" / "poems.py").write_text(
        "from anyweave.data import Format\n"
        "from anyweave.messages import Message\n"
        "POEMS = Format(name='poems', about='poems', recognises=lambda row: False,\n"
        "    read=lambda row, place: [Message('user', 'A poem!'), Message('assistant', row)])\n"
    )
    monkeypatch.syspath_prepend(str(folder / "site"))
    (folder / "p.jsonl").write_text('"Roses are red."\n')
    assert convert(Records(folder / "p.jsonl", "poems"), folder / "out.jsonl").written == 1
    assert Records(folder / "out.jsonl")[0][1].text == "Roses are red."
    with pytest.raises(ValueError, match="poems is only read; choose another --to"):
        convert(Records(folder / "out.jsonl"), folder / "again.jsonl", "poems")
