"""Rows by index, from every kind of file, and what is whole of a damaged one."""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from anyweave import media
from anyweave.data import Records
from anyweave.data.conversion import convert
from anyweave.data.place import ReadOptions, RowError
from anyweave.data.rows import Rows
from anyweave.data.samples import SampleFolder
from anyweave.data.tables import open_rows
from anyweave.data.validation import validate
from anyweave.messages import Image

ROWS = [{"caption": f"number {i}, é", "image": f"{i}.png"} for i in range(5)]


def table(path: str | Path) -> Rows:
    return open_rows(path, ReadOptions())


def rows(table: Rows) -> list[Any]:
    return [table.row(index) for index in range(len(table))]


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


LAYOUTS = {
    "lines.jsonl": "\n\n".join(json.dumps(row) for row in ROWS),
    "bom.jsonl": "\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS),
    "lines.json": "\n".join(json.dumps(row) for row in ROWS),
    "one_line.json": json.dumps(ROWS, ensure_ascii=False),
    "indented.json": json.dumps(ROWS, ensure_ascii=False, indent=2),
    "bom.json": "\ufeff " + json.dumps(ROWS, ensure_ascii=False),
    "windows.json": json.dumps(ROWS, indent=1).replace("\n", "\r\n"),
    "a.csv": "caption,image\n" + "".join(f'"{r["caption"]}",{r["image"]}\n' for r in ROWS),
    "bom.csv": "\ufeffcaption,image\r\n"
    + "\r\n".join(f'"{r["caption"]}",{r["image"]}' for r in ROWS),
    "a.tsv": "caption\timage\n" + "".join(f"{r['caption']}\t{r['image']}\n\n" for r in ROWS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    found = table(write(tmp_path / name, LAYOUTS[name]))
    assert rows(found) == ROWS and found.problems == ()
    assert pickle.loads(pickle.dumps(found)).row(3) == ROWS[3]
    copy = tmp_path / f"copy-{name}"
    found.copy([0, 2, 4], copy)
    assert rows(table(copy)) == ROWS[::2]
    if name != "lines.json":  # which nobody knows for lines without one
        found.copy([], tmp_path / f"none-{name}")
        assert rows(table(tmp_path / f"none-{name}")) == []


def test_places_are_lines(tmp_path: Path) -> None:
    assert table(write(tmp_path / "a.json", LAYOUTS["indented.json"])).place(1).endswith("json:6")
    assert table(write(tmp_path / "a.jsonl", LAYOUTS["lines.jsonl"])).place(1).endswith("jsonl:3")
    broken = write(tmp_path / "a.csv", 'caption,image\n"two\nlines",a\nthree,b\n')
    assert [table(broken).place(i).rpartition(":")[2] for i in (0, 1)] == ["2", "4"]
    assert rows(table(broken))[0] == {"caption": "two\nlines", "image": "a"}


def test_a_bad_row_in_a_list_hides_no_other(tmp_path: Path) -> None:
    text = LAYOUTS["indented.json"].replace('"number 1, é",', '"number 1, é"', 1)
    found = table(write(tmp_path / "a.json", text))
    assert rows(found) == [ROWS[0], *ROWS[2:]]
    (problem,) = found.problems
    assert problem.startswith(f"{tmp_path}/a.json:6: bad JSON (Expecting ',' delimiter")
    with pytest.raises(ValueError, match="a.json:6: bad JSON .*data validate --clean writes what"):
        Records(tmp_path / "a.json", "pairs")


def test_lists_that_were_cut_off(tmp_path: Path) -> None:
    for name in ("indented.json", "one_line.json"):
        text = LAYOUTS[name].encode()
        for cut in range(text.index(b"number 2"), len(text.rstrip()) - 1, 3):
            found = table(write(tmp_path / "cut.json", text[:cut]))
            assert rows(found) == ROWS[: len(found)] and len(found) >= 2
            assert len(found.problems) == 1
    assert "no end; it was cut off" in table(write(tmp_path / "b.json", "[")).problems[0]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.jsonl", '{"a": 1', "bad JSON (Expecting"),
        ("a.jsonl", b'{"a": "\xe9"}', "not UTF-8"),
        ("a.json", b'[{"a": "\xe9"}, {"a": 1}]', "not UTF-8"),
        ("a.jsonl", "[" * 100_000, "bad JSON (nested too deeply)"),
        ("a.jsonl", "1" * 5000, "bad JSON (a number has thousands of digits)"),
        ("a.jsonl", '{"a": 1, "a": 2}', "bad JSON (the key 'a' stands twice in one object)"),
        ("a.csv", "a,b\n1,2,3\n", "3 fields, but 2 columns; put text with a comma"),
        ("a.csv", 'a,b\n"1,2\n3,4\n', "is a double quote opened and never closed?"),
        ("a.csv", b"a,b\n1,\xe9\n", "not UTF-8"),
    ],
)
def test_bad_rows(tmp_path: Path, name: str, text: str | bytes, problem: str) -> None:
    found = table(write(tmp_path / name, text))
    with pytest.raises(RowError) as caught:
        found.row(0)
    assert str(caught.value).startswith(found.place(0)) and problem in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", "{\n}", "a JSON list of rows is needed, got"),
        ("a.json", b"\xff", "a JSON list of rows is needed, got"),
        ("a.csv", "", "it is empty; the first line names the columns"),
        ("a.txt", "", "no table is called *.txt; known: .jsonl, .ndjson, .json"),
    ],
)
def test_no_tables(tmp_path: Path, name: str, text: str | bytes, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        table(write(tmp_path / name, text))
    assert problem in str(caught.value)
    with pytest.raises(ValueError, match="none.json: no such file"):
        table(tmp_path / "none.json")


# --- files of one stem


def tar(path: Path, files: dict[str, bytes], **options: Any) -> Path:
    with tarfile.open(path, "w", **options) as made:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            made.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def shards(folder: Path) -> str:
    picture, sound = (folder / "a.png").read_bytes(), (folder / "b.wav").read_bytes()
    for number in range(3):
        files = {
            f"{number}0.png": picture,
            f"{number}0.txt": f"cat {number}\n".encode(),
            f"{number}0.json": b'{"url": "x", "caption": "not this"}',
            f"sub/{number}1.wav": sound,
            f"sub/{number}1.json": json.dumps({"caption": f"rain {number}"}).encode(),
        }
        tar(folder / f"{number:03d}.tar", files)
    return str(folder / "{000..002}.tar")


def test_tar_shards(folder: Path, shards: str) -> None:
    for path in (shards, str(folder / "0*.tar")):
        records = Records(path)
        assert [conversation[1].text for conversation in records] == [
            f"{what} {number}" for number in range(3) for what in ("cat", "rain")
        ]
    assert records[0][0].media()[0].source == (folder / "a.png").read_bytes()
    assert records[5][0].media("audio") and records.rows.place(5).endswith("002.tar: sub/21")
    assert pickle.loads(pickle.dumps(records))[4] == records[4]
    with pytest.raises(ValueError, match=r"003.tar: no such file; the shards .*\{002..003\}"):
        Records(shards.replace("000..002", "002..003"))


def test_shards_to_files_and_back(folder: Path, shards: str) -> None:
    done = convert(Records(shards), folder / "out.jsonl")
    assert done.written == 6 and len(list((folder / "out_media").iterdir())) == 6
    again = Records(folder / "out.jsonl")
    done = convert(again, folder / "again.tar", "webdataset")
    assert done.lost == {} and not (folder / ".again.tar.media").exists()
    for one, other in zip(Records(folder / "again.tar"), Records(shards), strict=True):
        assert one == other
        assert one[0].media()[0].source == other[0].media()[0].source
    with pytest.raises(ValueError, match="samples are written as one .tar; name it so"):
        convert(again, folder / "again.zip", "webdataset")


def test_a_folder_of_samples(folder: Path, shards: str) -> None:
    out = folder / "unpacked"
    with tarfile.open(folder / "001.tar") as packed:
        packed.extractall(out, filter="data")
    assert [c[1].text for c in Records(out, "webdataset")] == ["cat 1", "rain 1"]


def test_damaged_shards(folder: Path, shards: str) -> None:
    data = (folder / "001.tar").read_bytes()
    (folder / "001.tar").write_bytes(data[:700])
    (folder / "002.tar").write_bytes(b"no tar" * 200)
    found = table(shards)
    assert len(found) == 2
    assert [problem.partition(" (")[0] for problem in found.problems] == [
        f"{folder}/001.tar: this tar is damaged",
        f"{folder}/002.tar: this tar is damaged",
    ]
    with pytest.raises(ValueError, match=r"001.tar: this tar is damaged .*\(and 1 more\)"):
        Records(shards)


def test_what_follows_the_end_is_told(folder: Path, shards: str, tmp_path: Path) -> None:
    data = (folder / "001.tar").read_bytes()
    with tarfile.open(folder / "001.tar") as packed:
        third = packed.getmembers()[2].offset
    damaged = bytearray(data)
    damaged[third] ^= 1
    wrong = {"damaged": bytes(damaged), "two": data + data, "cut": data[:third]}
    for name, content in wrong.items():
        found = table(write(tmp_path / f"{name}.tar", content))
        (problem,) = found.problems
        assert problem.startswith(f"{tmp_path}/{name}.tar: this tar is damaged after")
        assert len(found) >= 1
    found = table(write(tmp_path / "two.json", '[{"a": 1}]\n[{"a": 2}]'))
    assert rows(found) == [{"a": 1}] and "more follows the list's end" in found.problems[0]


def test_a_name_with_a_second_dot_is_told(folder: Path, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    for stem in ("one", "b_0.5"):
        (samples / f"{stem}.png").write_bytes((folder / "a.png").read_bytes())
        (samples / f"{stem}.txt").write_text("a cat")
    found = SampleFolder(samples)
    assert len(found) == 2
    assert found.row(0) == {".5.png": "a file", ".5.txt": "a file"}  # counted as not read


def test_a_copy_of_samples(folder: Path, shards: str) -> None:
    table(shards).copy([1, 2], folder / "copy.tar")
    assert [c[1].text for c in Records(folder / "copy.tar")] == ["rain 0", "cat 1"]


# --- datasets


def test_without_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"`datasets` is not installed .*'anyweave\[hub\]'"):
        Records("hf://owner/name", "pairs")


def test_rows_of_datasets(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {"picture": [str(folder / "a.png"), str(folder / "d.png")], "text": ["a cat", "a dog"]}
    made = datasets.Dataset.from_dict(rows).cast_column("picture", datasets.Image())
    made.save_to_disk(folder / "saved")
    made.to_parquet(folder / "rows.parquet")
    datasets.DatasetDict({"train": made, "test": made.select([1])}).save_to_disk(folder / "dict")
    columns = {"image": "picture"}
    for path in ("saved", "rows.parquet", "dict"):
        records = Records(str(folder / path), "pairs", columns=columns)
        assert [c[1].text for c in records] == ["a cat", "a dog"]
        assert records.rows.place(1).endswith(f"{path}: row 1")
        picture = records[0][0].media()[0]
        assert (media.load(picture) == media.load(Image(folder / "a.png"))).all()
    assert len(Records(str(folder / "dict"), "pairs", columns=columns, split="test")) == 1
    with pytest.raises(ValueError, match="dict: `datasets` cannot open it"):
        Records(str(folder / "dict"), "pairs", split="dev")


def test_conversations_of_datasets(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    row = {
        "messages": [
            [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "!"}]
        ],
        "images": [[str(folder / "a.png")]],
    }
    made = datasets.Dataset.from_dict(row)
    made = made.cast_column("images", datasets.List(datasets.Image()))
    made.save_to_disk(folder / "saved")
    (conversation,) = Records(str(folder / "saved"), "llama-factory")
    assert [m.text for m in conversation] == ["?", "!"] and conversation[0].media("image")
    convert(Records(str(folder / "saved"), "llama-factory"), folder / "out.jsonl")
    assert os.listdir(folder / "out_media") and len(Records(folder / "out.jsonl")) == 1


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("1" * 5000, "bad JSON (a number has thousands of digits)"),
        ("[" * 100_000 + "]" * 100_000, "bad JSON (nested too deeply)"),
        ("NaN", "content: a string or a list of parts, got NaN (read as messages)"),
        ("1e999", "content: a string or a list of parts, got Infinity (read as messages)"),
        ('{"a": 1, "a": 2}', "bad JSON (the key 'a' stands twice in one object)"),
        ('"a\\ud800"', "half a surrogate pair is no text (read as messages)"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_hostile_values_are_told_with_their_place(
    tmp_path: Path, name: str, value: str, problem: str
) -> None:
    row = '{"messages": [{"role": "user", "content": %s}]}'
    good = row % '"hi"'
    rows = [good, row % value, good]
    path = tmp_path / name
    path.write_text("\n".join(rows) if name == "a.jsonl" else "[\n" + ",\n".join(rows) + "\n]")
    report = validate(path, "messages")
    wrong = [one for one in report.problems if "assistant says nothing" not in one.problem]
    assert len(wrong) == 1 and problem.split(" (the key")[0] in wrong[0].problem
    assert wrong[0].problem.startswith(f"{path}:{2 + (name == 'a.json')}: ")
