"""Validating: a folder with many kinds of damage, of which all are found, each where it is."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile

from anyweave import media
from anyweave.data import Records
from anyweave.data.checks import reason_of
from anyweave.data.place import ReadOptions
from anyweave.data.validation import validate
from anyweave.media import Limits

from .conftest import WriteJson

Row = dict[str, Any]

LIMITS = Limits(max_seconds=2.0)


def show(kind: str, path: str | None, **more: Any) -> Row:
    """A record with one medium of the user."""
    content = [{"type": kind, "path": path}, {"type": "text", "text": "?"}]
    reply = {"role": "assistant", "content": "!"}
    return {"messages": [{"role": "user", "content": content, **more}, reply]}


GOOD = [show("image", "a.png"), show("audio", "b.wav"), show("video", "c.mp4")]


def reply(*content: dict[str, Any]) -> Row:
    user = {"role": "user", "content": "?"}
    return {"messages": [user, {"role": "assistant", "content": list(content)}]}


def damage(folder: Path) -> list[tuple[Row | str | bytes, str]]:
    """Every kind of damage: a line of a messages file, and what has to be said of it."""
    picture, sound, clip = ((folder / name).read_bytes() for name in ("a.png", "b.wav", "c.mp4"))
    jpeg = media.encode("image", np.zeros((64, 64, 3), np.uint8), format="jpeg")
    noise = random.Random(0).randbytes(400)
    end = clip.index(b"moov") - 4  # of the frames; x264 begins them with words about itself
    files = {
        "empty.png": b"",
        "truncated.png": picture[:-40],
        "truncated.jpg": jpeg[:-50],
        "truncated.wav": sound[:-200],
        "truncated.mp4": clip[: len(clip) // 2],
        "flipped.png": picture[:60] + bytes(byte ^ 255 for byte in picture[60:90]) + picture[90:],
        "flipped.mp4": clip[: end - 300] + noise[:300] + clip[end:],
        "page.jpg": b"<!DOCTYPE html><html>404</html>",
        "pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "noise.wav": noise,
        "bomb.png": picture[:16] + (60_000).to_bytes(4, "big") * 2 + picture[24:],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    soundfile.write(folder / "nan.wav", np.full(800, np.nan, np.float32), 16_000, subtype="FLOAT")
    soundfile.write(folder / "silent.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(folder / "long.wav", np.zeros(24_000, np.float32), 8_000)
    PIL.Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    (folder / "dangling.png").symlink_to(folder / "nowhere.png")
    (folder / "folder.png").mkdir()
    return [
        (b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', "not UTF-8"),
        (b'{"messages": [{"role": "user", "con', "bad JSON"),
        (b'{"messages": ' + b"[" * 50_000, "bad JSON (nested too deeply)"),
        ("[]", "an object with messages, got []"),
        ({"turns": []}, "unknown key 'turns'"),
        ({"messages": []}, "a list of at least one message, got []"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, 'unknown role "robot"'),
        ({"messages": [{"role": "user"}]}, "the key 'content' is missing"),
        ({"messages": [{"role": "user", "content": 5}]}, "a string or a list of parts, got 5"),
        (show("smell", "a.png"), 'unknown type "smell"'),
        (show("image", None), "it has no path"),
        (show("image", ""), "it is empty; give the path of a file"),
        (show("image", "https://x/a.png"), "is a URL"),
        (show("image", "a.png", role="system"), "a system message holds only text, got image"),
        (reply({"type": "text", "text": "a\ud800"}), "half a surrogate pair is no text"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "the assistant says nothing"),
        (reply({"type": "text", "text": " "}), "the assistant says nothing"),
        (show("image", "gone.png"), "gone.png: no such file"),
        (show("image", "dangling.png"), "dangling.png: no such file"),
        (show("image", "folder.png"), "folder.png: it is a folder, not a file"),
        (show("image", "empty.png"), "empty.png: it is empty (0 bytes)"),
        (show("image", "truncated.png"), "truncated.png: this PNG is damaged or trunc"),
        (show("image", "truncated.jpg"), "truncated.jpg: this JPEG is damaged or trunc"),
        (show("audio", "truncated.wav"), "truncated.wav: this WAV is truncated"),
        (show("video", "truncated.mp4"), "truncated.mp4: this MP4 is truncated"),
        (show("image", "flipped.png"), "flipped.png: this PNG is damaged"),
        (show("video", "flipped.mp4"), "flipped.mp4: this MP4 is damaged"),
        (show("image", "page.jpg"), "page.jpg: it is an HTML page, not an image"),
        (show("video", "pointer.mp4"), "pointer.mp4: it is a Git LFS pointer, not a video"),
        (show("audio", "noise.wav"), "noise.wav: its content is not a known medium"),
        (show("image", "bomb.png"), "bomb.png: "),
        (show("image", "huge.png"), "huge.png: it has 100,000,000 pixels, more than the limit"),
        (show("audio", "nan.wav"), "nan.wav: 800 of its 800 samples are NaN or infinite"),
        (show("audio", "silent.wav"), "silent.wav: it holds no samples"),
        (show("audio", "long.wav"), "long.wav: it has 3.0 seconds, more than the limit of 2.0"),
        (show("video", "a.png"), "a.png: it holds an image (PNG), not a video"),
        (reply({"type": "audio", "path": "gone.wav", "caption": "rain"}), "gone.wav: no such file"),
    ]


def write_lines(path: Path, rows: Sequence[Row | str | bytes]) -> Path:
    lines = [
        row if isinstance(row, bytes) else row.encode() if isinstance(row, str) else
        json.dumps(row).encode() for row in rows
    ]  # fmt: skip
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def damaged(folder: Path) -> tuple[Path, list[str]]:
    """A file with a good record before every bad one."""
    kinds = damage(folder)
    rows = [row for number, (bad, _) in enumerate(kinds) for row in (GOOD[number % 3], bad)]
    return write_lines(folder / "train.jsonl", rows), [problem for _, problem in kinds]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_every_kind_of_damage_is_found(damaged: tuple[Path, list[str]], workers: int) -> None:
    path, kinds = damaged
    assert len(kinds) > 20
    steps = []
    report = validate(
        path.parent,
        "messages",
        limits=LIMITS,
        workers=workers,
        progress=lambda *step: steps.append(step),
    )
    assert len(report.problems) == len(kinds)
    for number, (found, expected) in enumerate(zip(report.problems, kinds, strict=True)):
        assert found.place == f"{path}:{2 * number + 2}" and found.record == 2 * number + 1
        assert found.problem.startswith(f"{found.place}: ") and expected in found.problem
    assert steps[-1] == (2 * len(kinds), 2 * len(kinds))
    facts = report.to_dict()
    assert facts["records"] == 2 * facts["good_records"] == 2 * len(kinds)
    assert sum(facts["reasons"].values()) == sum(facts["dropped"].values()) == len(kinds)
    assert facts["reasons"]["no such file"] == 3 and facts["reasons"]["bad JSON"] == 2
    assert json.loads(json.dumps(facts))["problems"][0] == {
        "file": str(path),
        "line": 2,
        "record": 1,
        "reason": "not UTF-8",
        "problem": report.problems[0].problem,
    }


def test_all_problems_of_one_record_are_told(folder: Path) -> None:
    content = [{"type": "image"}, {"type": "smell"}, {"type": "text", "text": 5}]
    messages = [{"role": "robot", "content": ""}, {"role": "user", "content": content}]
    missing = reply(
        {"type": "image", "path": "x.png", "caption": "x"}, {"type": "audio", "path": "y.wav"}
    )
    path = write_lines(folder / "a.jsonl", [{"messages": messages}, missing])
    found = [problem.problem for problem in validate(path, "messages").problems]
    assert [text.removeprefix(f"{path}:1: ").partition(":")[0] for text in found[:4]] == [
        "messages[0]",
        "messages[1].content[0]",
        "messages[1].content[1]",
        "messages[1].content[2].text",
    ]
    assert [re.findall(r"[xy]\.\w+", text)[0] for text in found[4:]] == ["x.png", "y.wav"]
    assert validate(path, "messages").dropped.total() == 2


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_clean_copy(
    damaged: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, kinds = damaged
    beside, elsewhere = path.with_name("clean.jsonl"), tmp_path_factory.mktemp("x") / "c.jsonl"
    for target in (beside, elsewhere):
        report = validate(path, "messages", limits=LIMITS, clean=target)
        assert report.clean == [str(target)]
        again = validate(target, limits=LIMITS)
        assert again.problems == [] and again.records == again.media == len(kinds)
    lines = path.read_bytes().splitlines()
    assert beside.read_bytes().splitlines() == lines[::2]
    with pytest.raises(ValueError, match="clean.jsonl is already there; remove it or choose"):
        validate(path, "messages", clean=beside)


def test_a_folder_of_files_of_all_kinds(folder: Path, write_json: WriteJson) -> None:
    write_json([{"image": "a.png", "caption": "a"}, {"image": "gone.png", "caption": "b"}])
    write_json(GOOD, "good.jsonl")
    (folder / "t.csv").write_text("image,caption\na.png,a\nd.png,,\n")
    (folder / "cut.json").write_text('[\n {"instruction": "a", "output": "b"},\n {"instr')
    (folder / "what.json").write_text('[{"x": 1}]')
    (folder / ".hidden.json").write_text("")
    report = validate(folder)
    assert report.formats == {
        str(folder / "cut.json"): "alpaca",
        str(folder / "good.jsonl"): "messages",
        str(folder / "rows.json"): "pairs",
        str(folder / "t.csv"): "pairs",
    }
    assert [problem.place.removeprefix(f"{folder}/") for problem in report.problems] == [
        "cut.json",
        "rows.json:6",
        "t.csv:3",
        "what.json",
    ]
    assert report.records == 8 and report.to_dict()["good_records"] == 6
    with pytest.raises(ValueError, match="paths? .*|named relative to"):
        validate(folder, clean=folder / "clean")
    root = ReadOptions(media=folder)
    report = validate(folder, None, root, clean=folder / "cleaner")
    cleaned = sorted(os.listdir(folder / "cleaner"))
    assert cleaned == ["cut.json", "good.jsonl", "rows.json", "t.csv"]
    assert validate(folder / "cleaner", None, root).problems == []


def test_a_copy_whose_paths_would_lead_nowhere(
    folder: Path, write_json: WriteJson, tmp_path_factory: pytest.TempPathFactory
) -> None:
    target = tmp_path_factory.mktemp("x") / "c.json"
    rows = write_json([{"image": "a.png", "caption": "a"}])
    with pytest.raises(ValueError, match="named relative to .*put the copy there, say with"):
        validate(rows, clean=target)
    assert not target.exists()


def test_shards(folder: Path, write_json: WriteJson) -> None:
    from anyweave.data.conversion import convert

    rows = [{"image": "a.png", "caption": f"{number}"} for number in range(4)]
    shard = folder / "s.tar"
    convert(Records(write_json(rows)), shard, "webdataset")
    assert validate(shard).media == 4
    data = bytearray(shard.read_bytes())
    place = data.index(b"IDAT")
    data[place : place + 20] = bytes(20)
    shard.write_bytes(data)
    (folder / "x").mkdir()
    report = validate(shard, clean=folder / "x" / "clean.tar")
    (problem,) = report.problems
    assert problem.to_dict()["file"] == f"{shard}: 000000000" and "is damaged" in problem.problem
    assert [c[1].text for c in Records(folder / "x" / "clean.tar")] == ["1", "2", "3"]
    assert validate(folder / "x" / "clean.tar").problems == []
    shard.write_bytes(shard.read_bytes()[:3000])
    assert [problem.record for problem in validate(shard).problems if problem.record is None]


def test_what_ends_its_decoder_is_one_more_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = folder / "site" / "crash-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: crash\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[anyweave.formats]\ncrash = crash:CRASH\n")
    (folder / "site" / "crash.py").write_text(
        "import os\n"
        "from anyweave.data import Format\n"
        "from anyweave.messages import Image, Message\n"
        "class Deadly(Image):\n"  # ends whoever takes it out of a pipe, as a decoder's crash does
        "    def __reduce__(self): return os._exit, (1,)\n"
        "def read(row, place):\n"
        "    shown = ['?'] if row == 0 else ['?', Deadly(b'x')]\n"
        "    return [Message('user', shown), Message('assistant', str(row))]\n"
        "CRASH = Format(name='crash', about='', recognises=lambda row: False, read=read)\n"
    )
    monkeypatch.syspath_prepend(str(folder / "site"))
    path = write_lines(folder / "a.jsonl", [str(number) for number in range(2)])
    report = validate(path, "crash", workers=1)
    (problem,) = report.problems
    assert problem.place == f"{path}:2" and "decoding it ends the process" in problem.problem
    assert report.records == 2


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ("a.jsonl:3: messages[2].content[0].path: it is empty; give", "it is empty"),
        ("a.jsonl:3: bad JSON (line 1 column 4); each line", "bad JSON"),
        ("a.jsonl:3: messages[0]: unknown role \"x\"; a role is", "unknown role ..."),
        ("a.jsonl:3: it has 3.5 seconds, more than 2.0; make", "it has N seconds, more than N"),
    ],
)  # fmt: skip
def test_reasons_have_no_details(problem: str, reason: str) -> None:
    assert reason_of(problem, "a.jsonl:3") == reason


def test_nothing_to_validate(folder: Path) -> None:
    with pytest.raises(ValueError, match="none.jsonl: no such file"):
        validate(folder / "none.jsonl")
