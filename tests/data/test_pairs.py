"""X-caption pairs and COCO: their published forms, and what is written read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from anyweave.data import Records
from anyweave.data.conversion import convert
from anyweave.data.formats import recognise
from anyweave.data.place import ReadOptions
from anyweave.messages import PAPER_MODALITIES, Message, Modality

from .conftest import WriteJson
from .published import FILES, PAIR, A, made, pairs, told, write


def test_pairs_of_the_reference(write_json: WriteJson) -> None:
    path = write_json([{"caption": "a cat", "id": "001", "image_name": "a.png"}])
    assert pairs(path, "cc3m") == [("image", "a.png", "a cat")]
    path = write_json([{"caption": "a fox", "id": 12, "video_name": "c.mp4"}])
    assert pairs(path, "webvid") == [("video", "c.mp4", "a fox")]
    path = write_json([{"audio_id": 7, "audio_name": "b.wav", "caption": "rain"}])
    assert pairs(path, "audiocaps") == [("audio", "b.wav", "rain")]


def test_published_tables_of_pairs(folder: Path) -> None:
    (folder / "000" / "12").mkdir(parents=True)
    (folder / "000" / "12" / "345.mp4").write_bytes((folder / "c.mp4").read_bytes())
    webvid = folder / "results_2M_train.csv"
    webvid.write_text('videoid,contentUrl,page_dir,name\n345,https://x/y,000/12,"A fox, red"\n')
    assert pairs(webvid, None) == [("video", "000/12/345.mp4", "A fox, red")]
    (folder / "Ya_-b.wav").write_bytes((folder / "b.wav").read_bytes())
    audiocaps = folder / "train.csv"
    audiocaps.write_text("audiocap_id,youtube_id,start_time,caption\n91139,a_-b,130,Rain falls\n")
    assert pairs(audiocaps, None) == [("audio", "Ya_-b.wav", "Rain falls")]
    (folder / "91139.flac").write_bytes((folder / "b.wav").read_bytes())
    assert pairs(audiocaps, None) == [("audio", "91139.flac", "Rain falls")]


def test_coco_in_the_karpathy_split(folder: Path, write_json: WriteJson) -> None:
    def image(name: str, split: str, *captions: str) -> dict[str, Any]:
        sentences = [{"raw": raw, "tokens": raw.split()} for raw in captions]
        return {"filename": name, "filepath": ".", "split": split, "sentences": sentences}

    path = write_json(
        {
            "dataset": "coco",
            "images": [
                image("a.png", "train", "a cat", "one cat"),
                image("d.png", "restval", "a dog"),
                image("a.png", "test", "it sits"),
            ],
        }
    )
    cat, more, dog = (
        ("image", "a.png", "a cat"),
        ("image", "a.png", "one cat"),
        ("image", "d.png", "a dog"),
    )
    assert pairs(path, None) == [cat, more, dog]
    assert pairs(path, "coco", split="restval") == [dog]
    assert pairs(path, "coco", split="test") == [("image", "a.png", "it sits")]
    with pytest.raises(ValueError, match="unknown split 'dev'; the Karpathy splits are train, res"):
        Records(path, "coco", split="dev")


def test_coco_as_published(write_json: WriteJson) -> None:
    path = write_json(
        {
            "info": {},
            "images": [{"id": 9, "file_name": "a.png"}],
            "annotations": [{"image_id": 9, "id": 1, "caption": "a cat"}],
        }
    )
    assert pairs(path, None) == [("image", "a.png", "a cat")]


def test_other_names_of_columns_and_folders(folder: Path) -> None:
    elsewhere = folder / "tables"
    elsewhere.mkdir()
    table = elsewhere / "mine.tsv"
    table.write_text("picture\ttitle\na.png\ta cat\n")
    columns = {"image": "picture", "caption": "title"}
    found = Records(table, "pairs", media={"image": folder}, columns=columns)
    assert told(found[0], folder)[0][1] == A and found[0][1].text == "a cat"
    assert len(found) == 1 and found[-1] == found[0] == found[:1][0]
    with pytest.raises(IndexError, match="no record 1; there are 1"):
        found[1]


@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.csv", "out.tsv"])
@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_round_trips_of_pairs(folder: Path, modality: Modality, name: str) -> None:
    own = {"image": "cc3m", "video": "webvid", "audio": "audiocaps"}[modality]
    for number, format in enumerate((own, "pairs")):
        lost = write(PAIR[modality], folder, format, f"{number}{name}")
        assert lost == ("words of the request",)
        assert pairs(folder / f"{number}{name}", format) == [
            (modality, FILES[modality], f"a {modality}")
        ]
    request = [Message("user", "Now!"), made(modality)]
    lost = write(request, folder, "pairs", f"made-{name}")
    assert set(lost) == {"words of the request", "words of the reply"}
    assert pairs(folder / f"made-{name}", "pairs") == [(modality, FILES[modality], f"a {modality}")]


def test_round_trip_of_coco(folder: Path, write_json: WriteJson) -> None:
    rows = [{"image": name, "caption": c} for name, c in (("a.png", "a cat"), ("a.png", "it sits"))]
    convert(Records(write_json(rows), "pairs"), folder / "coco.json", "coco")
    assert recognise(folder / "coco.json", ReadOptions()).name == "coco"
    assert pairs(folder / "coco.json", "coco") == [
        ("image", "a.png", "a cat"),
        ("image", "a.png", "it sits"),
    ]
