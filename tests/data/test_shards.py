"""Records of shards by index, against what was written into them."""

from __future__ import annotations

import gc
import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from anyweave.data import Mixture, Records, open_data, stream
from anyweave.data.indexed import IndexedRows
from anyweave.messages import Conversation


def write_lines(folder: Path, sizes: list[int], name: str = "part") -> None:
    """JSON lines; record n asks "n"."""
    folder.mkdir(exist_ok=True)
    number = 0
    for shard, size in enumerate(sizes):
        lines = []
        for _ in range(size):
            messages = [
                {"role": "user", "content": str(number)},
                {"role": "assistant", "content": "yes" * (number % 5)},
            ]
            lines.append(json.dumps({"messages": messages}))
            number += 1
        (folder / f"{name}-{shard:03d}.jsonl").write_text("\n".join(lines) + "\n" * bool(lines))


def write_tar(path: Path, numbers: range, *, format: int = tarfile.PAX_FORMAT) -> None:
    """Samples as others write them: caption n and bytes of n, in a folder of the tar."""
    with tarfile.open(path, "w", format=format) as tar:
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for n in numbers:
            # A long name needs a header of its own, where the format has one.
            long = "x" * 120 if n % 3 == 0 and format != tarfile.USTAR_FORMAT else ""
            files = {"jpg": b"\xff" * n, "txt": str(n).encode()}
            for suffix, content in files.items():
                entry = tarfile.TarInfo(f"data/{long}{n:05d}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def changed_in_place(path: Path, content: bytes) -> None:
    """Other bytes of the same number, at the same time."""
    stat = path.stat()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def moved(path: Path) -> bytes:
    """The lines of a shard, the first one last."""
    first, _, rest = path.read_bytes().partition(b"\n")
    return rest + first + b"\n"


def test_a_shard_changed_in_place_gets_a_new_index(tmp_path: Path) -> None:
    write_lines(tmp_path, [6])
    shard = tmp_path / "part-000.jsonl"
    assert asked(Records(tmp_path, "messages", on_disk=True)[1]) == 1
    changed_in_place(shard, moved(shard))
    assert [asked(talk) for talk in Records(tmp_path, "messages", on_disk=True)] == [
        1,
        2,
        3,
        4,
        5,
        0,
    ]


def test_a_shard_changed_while_it_is_read_is_told(tmp_path: Path) -> None:
    write_lines(tmp_path, [6])
    shards, shard = Records(tmp_path, "messages", on_disk=True), tmp_path / "part-000.jsonl"
    changed_in_place(shard, moved(shard))
    for read in (shards.__getitem__, lambda index: shards.rows.copy([index], tmp_path / "x")):
        with pytest.raises(ValueError, match=r"part-000.jsonl: it was changed .*jsonl.index and"):
            read(2)


def test_a_tar_changed_in_place_is_noticed(tmp_path: Path) -> None:
    one, two = tmp_path / "a.tar", tmp_path / "b" / "a.tar"
    two.parent.mkdir()
    write_tar(one, range(1, 6))
    write_tar(two, range(6, 1, -1))
    table = rows_of([one])
    assert table.row(0)["caption"] == "1"
    changed_in_place(one, two.read_bytes())
    with pytest.raises(ValueError, match=r"a.tar: it was changed after it was indexed"):
        [table.row(index) for index in range(5)]
    again = rows_of([one])
    assert [again.row(index)["caption"] for index in range(5)] == ["6", "5", "4", "3", "2"]


def rows_of(paths: list[Path]) -> IndexedRows:
    return IndexedRows(paths, paths[0].suffix, on_disk=True)


def asked(conversation: Conversation) -> int:
    return int(conversation[0].text)


def test_lines_by_index_and_by_stream(tmp_path: Path) -> None:
    write_lines(tmp_path, [5, 0, 7, 1])
    shards = Records(tmp_path, "messages", on_disk=True)
    assert len(shards) == 13
    assert [asked(shards[index]) for index in range(13)] == list(range(13))
    assert asked(shards[-1]) == 12 and [asked(c) for c in shards[3:6]] == [3, 4, 5]
    with pytest.raises(IndexError):
        shards[13]
    mixture = stream(str(tmp_path / "part-{000..003}.jsonl"), buffer=8, block=2)
    assert sorted(map(asked, mixture.epoch(3))) == list(range(13))
    epoch = mixture.epoch(0)
    lengths = [epoch.length(index) for index in range(13)]
    assert all(length is not None and length > 10 for length in lengths)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_samples_of_tar_shards(tmp_path: Path, format: int) -> None:
    write_tar(tmp_path / "a.tar", range(5), format=format)
    write_tar(tmp_path / "b.tar", range(5, 12), format=format)
    shards = Records(tmp_path / "*.tar", task="generate", on_disk=True)
    assert [asked(conversation) for conversation in shards] == list(range(12))
    assert [len(conversation[1].media()[0].source) for conversation in shards] == list(range(12))
    assert shards.length(0) is None


@pytest.mark.parametrize("kind", ["jsonl", "tar"])
def test_rows_are_copied_as_they_are(tmp_path: Path, kind: str) -> None:
    if kind == "jsonl":
        write_lines(tmp_path, [3, 4])
        last = tmp_path / "part-001.jsonl"
        last.write_text(last.read_text().rstrip("\n"))
    else:
        write_tar(tmp_path / "a.tar", range(3))
        write_tar(tmp_path / "b.tar", range(3, 7))
    table = rows_of(sorted(tmp_path.glob(f"*.{kind}")))
    copy = tmp_path / "out" / f"copy.{kind}"
    copy.parent.mkdir()
    table.copy([6, 0, 3], copy)
    copied = rows_of([copy])
    assert [copied.row(i) for i in range(3)] == [table.row(i) for i in (6, 0, 3)]
    assert table.place(6).endswith("part-001.jsonl:4" if kind == "jsonl" else "00006")


def test_an_index_is_made_once_and_again_when_the_shard_changed(tmp_path: Path) -> None:
    write_lines(tmp_path, [4])
    index = tmp_path / "part-000.jsonl.index"
    assert len(Records(tmp_path, on_disk=True)) == 4
    made = index.stat().st_mtime_ns
    assert len(Records(tmp_path, on_disk=True)) == 4 and index.stat().st_mtime_ns == made
    write_lines(tmp_path, [6])
    assert len(Records(tmp_path, on_disk=True)) == 6
    index.write_bytes(index.read_bytes()[:-5])  # half an index is none
    assert asked(Records(tmp_path, on_disk=True)[5]) == 5
    elsewhere = tmp_path / "indices"
    assert len(Records(tmp_path, index_dir=elsewhere, on_disk=True)) == 6
    assert (elsewhere / index.name).read_bytes() == index.read_bytes()


def test_errors_name_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n\n{"messages": []}\n{"messages"\n')
    shards = Records(tmp_path, "messages", on_disk=True)
    with pytest.raises(ValueError, match=r"a\.jsonl:3: messages: a list of at least one"):
        shards[0]
    with pytest.raises(ValueError, match=r"a\.jsonl:4: bad JSON"):
        shards[1]


def test_what_cannot_be_streamed(tmp_path: Path) -> None:
    write_tar(tmp_path / "cut.tar", range(9))
    data = (tmp_path / "cut.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[:5000])
    with pytest.raises(ValueError, match=r"cut\.tar: this tar is damaged after data/"):
        Records(tmp_path / "cut.tar", on_disk=True)
    (tmp_path / "a.jsonl.gz").write_bytes(b"")
    with pytest.raises(ValueError, match="compressed, so not to be read from the middle"):
        Records(tmp_path / "a.jsonl.gz", on_disk=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no shards there; they are called \*\.jsonl"):
        Records(tmp_path / "empty", on_disk=True)
    write_lines(tmp_path / "other", [1])
    with pytest.raises(ValueError, match="one folder"):
        rows_of([tmp_path / "cut.tar", tmp_path / "other" / "part-000.jsonl"])
    with pytest.raises(ValueError, match=r"one kind are needed, got \.jsonl, \.tar"):
        (tmp_path / "b.jsonl").write_text("")
        Records(tmp_path / "*.[tj]*[rl]", on_disk=True)


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    write_lines(tmp_path / "data", [2])
    (tmp_path / "data").chmod(0o500)
    with pytest.raises(ValueError, match="pass index_dir"):
        Records(tmp_path / "data", on_disk=True)


def test_several_sets_with_weights(tmp_path: Path) -> None:
    write_lines(tmp_path / "few", [3])
    write_tar(tmp_path / "many.tar", range(100, 140))
    mixture = stream(
        {"few": tmp_path / "few", "many": tmp_path / "many.tar"},
        weights={"few": 1, "many": 2},
        length=30,
        buffer=16,
        block=4,
        index_dir=tmp_path / "indices",
        task="generate",
    )
    assert isinstance(mixture, Mixture) and mixture.counts == {"few": 10, "many": 20}
    drawn = [asked(conversation) for conversation in mixture.epoch(1)]
    assert sum(n < 100 for n in drawn) == 10 and len({n for n in drawn if n >= 100}) == 20
    assert sorted(path.name for path in (tmp_path / "indices").iterdir()) == ["few", "many"]


def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    write_lines(tmp_path / "small", [500])
    write_lines(tmp_path / "large", [10_500])

    def kept(path: Path) -> int:
        stream(path, "messages", buffer=128, block=16).at(0, 0)  # indexes, warms up
        gc.collect()
        tracemalloc.start()
        mixture = stream(path, "messages", buffer=128, block=16)
        for index in range(0, len(mixture), len(mixture) // 40):
            mixture.at(0, index)
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    # Bytes. 10,000 records more are 80,000 of offsets alone; a thread of the test runner may have
    # taken some thousands meanwhile.
    assert kept(tmp_path / "large") < kept(tmp_path / "small") + 40_000


def _packed(path: Path, names: list[str]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            data = b"a fox" if name.endswith("txt") else b"\x89PNG"
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_macos_packs_beside_every_file_is_no_sample(tmp_path: Path, on_disk: bool) -> None:
    names = ["0.png", "0.txt", "1.png", "1.txt"]
    beside = [one for name in names for one in (f"d/._{name}", f"d/{name}")]
    shard = _packed(tmp_path / "shard.tar", beside)
    (tmp_path / "._shard.tar").write_bytes(b"\0\5\x16\7")
    for path in (shard, tmp_path):
        records = open_data(path) if on_disk else Records(shard)
        assert [records[n][1].text for n in range(len(records))] == ["a fox"] * 2


def test_files_of_a_sample_that_are_apart_are_told(tmp_path: Path) -> None:
    shard = _packed(tmp_path / "shard.tar", ["0.png", "1.png", "0.txt", "1.txt"])
    with pytest.raises(ValueError, match=r"shard.tar: the files of 0 are not side by side.*--sort"):
        Records(shard)
