"""What rows have and their format has no place for is read, refused, or counted as lost."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from anyweave.data import Records
from anyweave.data.conversion import convert
from anyweave.data.validation import validate
from anyweave.messages import Conversation, Part, Text

from .conftest import WriteJson

ToldPart = str | tuple[str, str]
"""Words, or modality and file."""
Turn = tuple[ToldPart, ...]
"""The role, and then the parts."""

A, B, C, D = (
    ("image", "a.png"),
    ("audio", "b.wav"),
    ("video", "c.mp4"),
    ("image", "d.png"),
)


def told(conversation: Conversation, folder: Path) -> list[Turn]:
    """A conversation as plain values, media by name."""

    def part(part: Part) -> ToldPart:
        if isinstance(part, Text):
            return part.text
        return part.modality, os.path.relpath(part.source, folder)

    return [(message.role, *map(part, message.parts)) for message in conversation]


def read(path: Path, format: str | None) -> list[list[Turn]]:
    return [told(conversation, path.parent) for conversation in Records(path, format)]


def ask(*parts: ToldPart) -> Turn:
    return ("user", *parts)


def say(*parts: ToldPart) -> Turn:
    return ("assistant", *parts)


def human(value: str, **more: Any) -> dict[str, Any]:
    return {"from": "human", "value": value, **more}


def gpt(value: str, **more: Any) -> dict[str, Any]:
    return {"from": "gpt", "value": value, **more}


TALK = [human("<image>Who?"), gpt("A cat.")]
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yo"}]


def turn(**more: Any) -> list[dict[str, Any]]:
    return [TURNS[0], {**TURNS[1], **more}]


# Format, row, and what of it is lost.
LOST = [
    ("sharegpt", {"conversations": [human("Hi"), gpt("Yo")], "tools": "[]"}, "the key 'tools'"),
    ("sharegpt", {"conversations": [human("Hi", weight=1), gpt("Yo")]}, "the key 'weight' of con"),
    ("llama-factory", {"messages": TURNS, "objects": {"bbox": [1]}}, "the key 'objects'"),
    ("llama-factory", {"messages": TURNS, "conversations": [1]}, "the key 'conversations'"),
    ("llama-factory", {"messages": turn(tool_calls=[1])}, "the key 'tool_calls' of messages[]"),
    ("ms-swift", {"messages": TURNS, "rejected_response": "No"}, "the key 'rejected_response'"),
    ("ms-swift", {"query": "Hi", "response": "Yo", "label": False}, "the key 'label'"),
    ("ms-swift", {"messages": turn(loss=0.5)}, "the key 'loss' of messages[]"),
    (
        "alpaca",
        {"instruction": "Hi", "output": "Yo", "image_path": "a.png"},
        "the key 'image_path'",
    ),
    ("alpaca", {"instruction": "<video>?", "output": "Yo"}, "<video> without a medium, which is"),
    ("llava", {"image": "a.png", "conversations": TALK, "bbox": [1]}, "the key 'bbox'"),
    ("videochat", {"video": "c.mp4", "start": 3, "QA": [{"q": "?", "a": "!"}]}, "the key 'start'"),
    (
        "videochat",
        {"video": "c.mp4", "QA": [{"q": "?", "a": "!"}, {"i": "Be brief.", "q": "?", "a": "!"}]},
        "the key 'i' of QA[]",
    ),
    ("nextgpt", {"input_image": "a.png", "conversations": TALK, "extra": 1}, "the key 'extra'"),
    (
        "t2m",
        {"audio_captions": ["rain"], "conversations": [human("?"), gpt("<audio>", score=1)]},
        "the key 'score' of conversations[]",
    ),
    (
        "t2m-legacy",
        {"mm_name": "b.wav", "conversation": [human("?"), gpt("!", caption="rain")]},
        "captions of words",
    ),
    (
        "mosit-legacy",
        {"image_list": [{"image_name": "a.png"}], "conversation": [human("?"), gpt("!")]},
        "media that no tag asks for",
    ),
    ("pairs", {"image": "a.png", "audio": "b.wav", "caption": "x"}, "the key 'audio'"),
    ("pairs", {"image": "a.png", "caption": "x", "text": "y"}, "the key 'text'"),
    ("cc3m", {"image_name": "a.png", "caption": "x", "crop": [0, 1]}, "the key 'crop'"),
    ("audiocaps", {"audio_name": "b.wav", "caption": "x", "end": 3}, "the key 'end'"),
    ("webvid", {"video_name": "c.mp4", "caption": "x", "name": "y"}, "the key 'name'"),
]


@pytest.mark.parametrize(("format", "row", "lost"), LOST)
def test_what_has_no_place_is_counted(
    folder: Path,
    write_json: WriteJson,
    format: str,
    row: dict[str, Any],
    lost: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = Records(write_json([row, row]), format)
    for index in range(2):
        (what,) = records.reading(index).lost
        assert what.startswith(lost)
    list(records)
    assert [record.message.count("not read: " + lost) for record in caplog.records] == [1]
    assert validate(records.files[0], format).lost == {what: 2}
    assert convert(records, folder / "out.jsonl").lost == {what: 2}


def test_ids_and_empty_keys_are_no_loss(write_json: WriteJson) -> None:
    row = {"id": 1, "messages": TURNS, "tools": "", "images": [], "source": "x", "objects": None}
    assert Records(write_json([row]), "llama-factory").reading(0).lost == ()
    row = {"image": "a.png", "caption": "x", "width": 3, "key": "1", "audio": float("nan")}
    assert Records(write_json([row]), "pairs").reading(0).lost == ()


@pytest.mark.parametrize("flag", [{"loss": False}, {"weight": 0}, {"train": False}])
def test_replies_not_to_be_learnt_from_are_refused(
    write_json: WriteJson, flag: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="says that this reply is not to be learnt from"):
        Records(write_json([{"messages": turn(**flag)}]), "ms-swift")[0]
    asked = [{**TURNS[0], **flag}, TURNS[1]]
    assert Records(write_json([{"messages": asked}]), "ms-swift").reading(0).lost == ()


def test_alpaca_with_all_it_may_have(folder: Path, write_json: WriteJson) -> None:
    rows = [
        {"instruction": "Say hello.", "input": "", "output": "Hello."},
        {
            "instruction": "<image>And <audio>?",
            "output": "No.",
            "images": ["a.png"],
            "audios": ["b.wav"],
            "system": "Be brief.",
            "history": [["<video>Red?", "No."]],
            "videos": ["c.mp4"],
        },
        {"instruction": "<image>?", "output": "!", "images": ["gone.png"]},
    ]
    path = write_json(rows)
    first, second = (told(Records(path)[i], folder) for i in range(2))
    assert first == [ask("Say hello."), say("Hello.")]
    history = [ask(C, "Red?"), say("No.")]
    assert second == [("system", "Be brief."), *history, ask(A, "And ", B, "?"), say("No.")]
    with pytest.raises(ValueError, match=r"no such media file: .*gone.png.*read as alpaca, known"):
        Records(path)[2]


# --- parts of a list


def one(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts]}, TURNS[1]]}


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image", "image": "a.png"},
        {"type": "image", "path": "a.png"},
        {"type": "image", "url": "a.png", "text": None},
        {"type": "image_url", "image_url": "a.png"},
        {"type": "image_url", "image_url": {"url": "a.png", "detail": "low"}},
        {"type": "input_image", "image_url": "a.png"},
    ],
)
@pytest.mark.parametrize("format", ["sharegpt", "llama-factory", "ms-swift"])
def test_parts_in_the_forms_of_others(
    folder: Path, write_json: WriteJson, part: dict[str, Any], format: str
) -> None:
    path = write_json([one(part, {"type": "text", "text": "?"})])
    assert read(path, format) == [[ask(A, "?"), say("Yo")]]


def test_parts_with_bytes(folder: Path, write_json: WriteJson) -> None:
    data = base64.b64encode((folder / "b.wav").read_bytes()).decode()
    part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    (sound,) = Records(write_json([one(part)]))[0][0].media()
    assert sound.modality == "audio" and sound.source == (folder / "b.wav").read_bytes()
    uri = base64.b64encode((folder / "a.png").read_bytes()).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{uri}"}}
    (picture,) = Records(write_json([one(part)]))[0][0].media()
    assert picture.source == (folder / "a.png").read_bytes()


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        (
            {"type": "document", "path": "a.pdf"},
            'content[0]: unknown type "document"; a type is te',
        ),
        ({"type": "image", "path": "a.png", "url": "d.png"}, "named 2 times, by path, url"),
        ({"type": "image_url", "image_url": {"uri": "a.png"}}, "an object with url or data, got"),
        ({"type": "image_url", "image_url": "https://x/a.png"}, "is a URL; download it"),
        ({"type": "input_audio", "input_audio": {"data": "&"}}, "is no base64"),
        (
            {"type": "image", "path": "a.png", "text": "hm"},
            "the words of a part of type image have",
        ),
        ({"type": "image", "index": 1}, "image 1, but the next is 0"),
    ],
)
def test_parts_that_are_refused_by_name(
    write_json: WriteJson, part: dict[str, Any], problem: str
) -> None:
    path = write_json([{**one(part), "images": ["a.png"] if "index" in part else []}])
    with pytest.raises(ValueError) as caught:
        Records(path, "llama-factory")[0]
    assert problem in str(caught.value) and "(read as llama-factory)" in str(caught.value)


def test_media_in_parts_and_in_lists_at_once(write_json: WriteJson) -> None:
    row = one({"type": "image", "image": "a.png"}, {"type": "text", "text": "and <image>"})
    with pytest.raises(ValueError, match="image media stand both in parts and in images, image"):
        Records(write_json([{**row, "images": ["d.png"]}]), "ms-swift")[0]
    listed = one({"type": "image"}, {"type": "image", "index": 1}, {"type": "text", "text": "?"})
    found = read(write_json([{**listed, "images": ["a.png", "d.png"]}]), None)
    assert found == [[ask(A, D, "?"), say("Yo")]]


# --- files of samples, columns, pictures of COCO


def shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_files_of_a_sample_that_are_not_read(folder: Path) -> None:
    picture = (folder / "a.png").read_bytes()
    files = {"1.png": picture, "1.txt": b"a cat", "1.cls": b"3", "1.json": b'{"caption": "b"}'}
    records = Records(shard(folder / "x.tar", {**files, "1.mask.npy": b"0"}))
    assert records[0][1].text == "a cat"
    lost = ("the key '.cls'", "the key '.mask.npy'", "the key '.json caption'")
    assert sorted(records.reading(0).lost) == sorted(lost)
    two = Records(shard(folder / "y.tar", {"1.png": picture, "1.jpg": picture, "1.txt": b"a"}))
    with pytest.raises(ValueError, match="two files are its image: .png and .jpg"):
        two[0]


def test_columns_that_are_not_read_or_stand_twice(folder: Path) -> None:
    table = folder / "t.csv"
    table.write_text("image,caption,mask\na.png,a cat,m.png\n")
    assert Records(table).reading(0).lost == ("the key 'mask'",)
    table.write_text("image,caption,caption\na.png,a cat,a dog\n")
    with pytest.raises(ValueError, match="2 columns are called 'caption'; rename all but one"):
        Records(table)


def test_what_coco_says_besides(write_json: WriteJson) -> None:
    annotations = [{"image_id": 1, "id": 1, "caption": "a cat", "bbox": [1, 2]}]
    images = [{"id": 1, "file_name": "a.png", "width": 8, "depth_name": "d.png"}]
    records = Records(write_json({"images": images, "annotations": annotations}))
    assert set(records.reading(0).lost) == {"the key 'depth_name'", "the key 'bbox'"}
    image = {"filename": "a.png", "split": "training", "sentences": [{"raw": "x", "score": 1}]}
    records = Records(write_json({"images": [image, {**image, "split": "train"}]}))
    with pytest.raises(ValueError, match='unknown split "training"; the Karpathy splits are'):
        records[0]
    assert records.reading(1).lost == ("the key 'score'",)


def test_links_in_a_shard_are_told(folder: Path) -> None:
    path = shard(folder / "x.tar", {"1.png": (folder / "a.png").read_bytes(), "1.txt": b"a cat"})
    with tarfile.open(path, "a") as tar:
        entry = tarfile.TarInfo("2.png")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(entry)
    for source in (Records(path), Records(path, on_disk=True)):
        assert len(source) == 2 and source[0][1].text == "a cat"
        with pytest.raises(ValueError, match="2.png is a link to /etc/passwd, and a shard holds"):
            source[1]
