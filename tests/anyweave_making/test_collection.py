"""Tables of media and captions, and which of their captions is nearest."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import numpy as np
import pytest

from anyweave.data.messages_jsonl import write_messages
from anyweave.messages import Audio, Image, Message
from anyweave_making.captions import capitalized, caption_form, tidy
from anyweave_making.collection import Item, modality_by_name, read_collection
from anyweave_making.text_index import EmbeddingIndex, TfIdfIndex


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a.png", "b.wav", "c.bin"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_the_kind_of_a_file_does_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = mimetypes.MimeTypes()  # what Python knows by itself, as in a small container
    monkeypatch.setattr(mimetypes, "guess_type", bare.guess_type)
    named = {"image": "jpg webp tiff avif", "video": "mkv mov m4v", "audio": "flac ogg m4a opus"}
    for modality, suffixes in named.items():
        for suffix in suffixes.split():
            assert modality_by_name(Path(f"A.{suffix.upper()}")) == modality, suffix


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_delimited_tables(files: Path, suffix: str) -> None:
    gap = {".csv": ",", ".tsv": "\t"}[suffix]
    rows = [
        ("path", "caption", "modality", "licence", "note"),
        ("a.png", "a cat", "", "CC0", "x"),
        ("c.bin", "a clip", "video", "", "x"),
    ]
    table = files / f"t{suffix}"
    table.write_text("\n".join(gap.join(row) for row in rows) + "\n")
    assert read_collection(table, source="mine", licence="MIT") == [
        Item(modality="image", path=files / "a.png", caption="a cat", source="mine", licence="CC0"),
        Item(
            modality="video", path=files / "c.bin", caption="a clip", source="mine", licence="MIT"
        ),
    ]


def test_json_lines_and_messages(files: Path) -> None:
    table = files / "t.jsonl"
    table.write_text('{"path": "b.wav", "caption": " rain ", "source": "garden"}\n\n')
    (item,) = read_collection(table)
    assert item == Item(
        modality="audio", path=files / "b.wav", caption="rain", source="garden", licence=""
    )
    write_messages(
        [
            [Message("user", "rain"), Message("assistant", Audio(files / "b.wav", caption="rain"))],
            [
                Message("user", [Image(files / "a.png"), "What is this?"]),
                Message("assistant", "A cat."),
            ],
            [Message("user", "hi"), Message("assistant", "hello")],
        ],
        table,
    )
    found = [(i.modality, i.path.name, i.caption) for i in read_collection(table)]
    assert found == [("audio", "b.wav", "rain"), ("image", "a.png", "A cat.")]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("path,caption\na.png,", "t.csv:2: caption: it is empty; a row says which file"),
        ("path,caption\n,cat", "t.csv:2: path: it is empty"),
        ("file,caption\na.png,cat", "t.csv:2: no path; a row has path .* this has file, caption"),
        ("path,caption\nnone.png,cat", "t.csv:2: path: no such media file"),
        ("path,caption\nc.bin,cat", "t.csv:2: modality: what is c.bin.; say one of image"),
        ("path,caption,modality\na.png,cat,smell", "t.csv:2: modality: unknown modality 'smell'"),
        ("path,caption", "t.csv: it has no media with captions"),
    ],
)
def test_errors_name_the_line(files: Path, row: str, problem: str) -> None:
    (files / "t.csv").write_text(row + "\n")
    with pytest.raises(ValueError, match=problem):
        read_collection(files / "t.csv")


def test_pairs_as_others_write_them(files: Path) -> None:
    (files / "t.json").write_text('[{"image_name": "a.png", "caption": "a cat", "id": 7}]')
    (item,) = read_collection(files / "t.json", licence="CC0")
    assert item == Item(modality="image", path=files / "a.png", caption="a cat", licence="CC0")


def test_not_a_table(files: Path) -> None:
    with pytest.raises(ValueError, match="a.png: no table is called"):
        read_collection(files / "a.png")
    with pytest.raises(ValueError, match="no such file"):
        read_collection(files / "none.csv")
    (files / "t.jsonl").write_text("[1]\n")
    with pytest.raises(ValueError, match="t.jsonl:1: an object is needed, got"):
        read_collection(files / "t.jsonl")


CAPTIONS = ["two dogs barking in a yard", "a cat asleep on a sofa", "rain falling on a tent"]


def test_nearest_captions_by_their_words() -> None:
    index = TfIdfIndex(CAPTIONS)
    (best, score), *_ = index.search("a dog barks")
    assert best == 0 and 0.5 < score < 1
    best, score = index.search(CAPTIONS[2])[0]
    assert best == 2 and score == pytest.approx(1.0)
    assert index.search("purple submarine") == []
    # What the collection knows nothing of counts against a text that shares one word.
    assert index.search("a submarine on a sofa at midnight")[0][1] < 0.5
    assert TfIdfIndex([]).search("x") == []


def test_nearest_captions_by_an_encoder() -> None:
    vectors = {"x": [1.0, 0.0], "y": [0.0, 2.0], "q": [0.1, 1.0]}
    index = EmbeddingIndex(["x", "y"], lambda texts: np.array([vectors[t] for t in texts]))
    assert [n for n, _ in index.search("q")] == [1, 0]
    ((best, score),) = index.search("y", 1)
    assert best == 1 and score == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("caption", "tidied", "form"),
    [
        ("A man talks while a dog barks.", "a man talks while a dog barks", "clause"),
        ("two dogs play in the snow", "two dogs play in the snow", "clause"),
        ("A woman is kneading  dough", "a woman is kneading dough", "clause"),
        ("Birds chirping in the distance", "birds chirping in the distance", "noun"),
        ("a man who is talking", "a man who is talking", "noun"),
        ("a bowl of fresh strawberries", "a bowl of fresh strawberries", "noun"),
        ("the actor attends the premiere .", "the actor attends the premiere", "other"),
        ("Paris at night", "Paris at night", "other"),
        ("word " * 30, ("word " * 30).strip(), "other"),
        ("", "", "other"),
    ],
)
def test_captions_inside_sentences(caption: str, tidied: str, form: str) -> None:
    assert tidy(caption) == tidied
    assert caption_form(tidied) == form
    assert capitalized("été") == "Été"
