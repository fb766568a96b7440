"""What is copied into a data set is a medium, and below the folders of the data it came with."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from anyweave.cli import main
from anyweave.data import Records
from anyweave.data.conversion import convert
from anyweave.messages import Image, Message
from anyweave_making.collection import read_collection
from anyweave_making.mosit import Filler
from anyweave_making.release import Origin, Record, Release, write_release
from anyweave_making.t2m import build_t2m


@pytest.fixture
def data(folder: Path) -> Path:
    """A folder of data inside `folder`, whose media are none of its business."""
    inner = folder / "data"
    inner.mkdir()
    (inner / "own.png").write_bytes((folder / "a.png").read_bytes())
    (inner / "link.png").symlink_to(folder / "a.png")
    (inner / "sub").symlink_to(folder, target_is_directory=True)
    (inner / "secret.txt").write_text("secret")
    (inner / "secret.png").write_text("secret")
    return inner


def pair(data: Path, path: str) -> Path:
    table = data / "rows.jsonl"
    table.write_text(json.dumps({"image": path, "caption": "a cat"}) + "\n")
    return table


OUTSIDE = ["../a.png", "link.png", "sub/a.png", "sub/data/../a.png", "{}/a.png"]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize(("to", "name"), [("messages", "out.jsonl"), ("webdataset", "out.tar")])
def test_conversion_copies_nothing_from_outside(
    folder: Path,
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    path: str,
    to: str,
    name: str,
) -> None:
    table = pair(data, path.format(folder))
    out = tmp_path_factory.mktemp("out") / name
    with pytest.raises(ValueError, match=r"rows.jsonl:1: .* is outside .*--allow-outside"):
        convert(Records(table), out, to, copy_media=True)
    done = convert(Records(table), out, to, copy_media=True, skip=True)
    assert done.written == 0 and sum(done.skipped.values()) == 1
    out.unlink()
    allowed = Records(table, allow_outside=True)
    assert convert(allowed, out, to, copy_media=True).written == 1
    out.unlink()
    assert convert(Records(table, media=folder), out, to, copy_media=True, skip=True).records == 1
    if to == "messages":  # named where they are, nothing is copied
        assert convert(Records(table), out.with_name("b.jsonl"), to).written == 1


@pytest.mark.parametrize("path", ["secret.txt", "secret.png"])
@pytest.mark.parametrize(("to", "name"), [("messages", "out.jsonl"), ("webdataset", "out.tar")])
def test_only_media_are_copied(data: Path, path: str, to: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"secret.*its content is not a known medium"):
        convert(Records(pair(data, path)), data / name, to, copy_media=True)
    assert b"secret" not in b"".join(p.read_bytes() for p in data.glob("out*_media/*"))
    convert(Records(pair(data, "own.png")), data / f"2{name}", to, copy_media=True)


def test_a_shard_names_no_files(data: Path) -> None:
    caption = {"caption": "x", "image": "own.png"}
    turns = [{"role": "user", "content": [{"type": "image", "path": "own.png"}]}]
    for format, row in (("webdataset", caption), ("messages", {"messages": turns})):
        with tarfile.open(data / "x.tar", "w") as tar:
            content = json.dumps(row).encode()
            entry = tarfile.TarInfo("1.json")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        with pytest.raises(
            ValueError, match='"own.png" names a file, but the media of a shard are'
        ):
            Records(data / "x.tar", format)[0]


def test_links_out_of_a_folder_of_samples(folder: Path, data: Path) -> None:
    samples = data / "samples"
    samples.mkdir()
    (samples / "1.png").write_bytes((folder / "a.png").read_bytes())
    (samples / "1.txt").symlink_to(data / "secret.txt")
    with pytest.raises(ValueError, match=r"1.txt leads out of the folder; --allow-outside"):
        Records(samples, "webdataset")[0]
    assert Records(samples, "webdataset", allow_outside=True)[0][1].text == "secret"


@pytest.mark.parametrize("path", OUTSIDE)
def test_data_sets_are_made_of_nothing_from_outside(folder: Path, data: Path, path: str) -> None:
    items = read_collection(pair(data, path.format(folder)))
    with pytest.raises(ValueError, match=r"is outside .*--allow-outside takes"):
        build_t2m(items, data / "t2m", work=data / "work", copy_media=True)
    with pytest.raises(ValueError, match=r"is outside .*--allow-outside takes"):
        Filler(items, folder=data / "media")
    build_t2m(items, data / "named", work=data / "work")
    facts = build_t2m(items, data / "t2m", work=data / "work", copy_media=True, allow_outside=True)
    assert facts["stats"]["media"]["image"] == 1
    Filler(items, folder=data / "media", allow_outside=True)


def test_a_release_copies_media_alone(data: Path) -> None:
    for name in ("secret.txt", "secret.png"):
        talk = [Message("user", "?"), Message("assistant", Image(data / name, caption="x"))]
        record = Record(conversation=talk, origins=[Origin(how="given")])
        release = Release(name="x", version="1", description="x", made={})
        with pytest.raises(ValueError, match="its content is not a known medium"):
            write_release([record], data / "release", release)


def test_the_commands(folder: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pair(data, "../a.png")
    for command in (
        ["convert", table, data / "o.jsonl", "--copy-media"],
        ["t2m", data / "t2m", "--collection", table, "--copy-media"],
    ):
        for flag, status in (([], 2), (["--allow-outside"], 0)):
            with pytest.raises(SystemExit) as ended:
                main(["data", *map(str, command), *flag])
            assert (ended.value.code or 0) == status
        assert "is outside" in " ".join(capsys.readouterr().err.split())
