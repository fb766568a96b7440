"""A format is known by all rows looked at and named in errors; where two are possible, it asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anyweave.data import Records
from anyweave.data.formats import recognise
from anyweave.data.place import ReadOptions

from .conftest import WriteJson


def messages(content: Any, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "Yo"}]
    return {"messages": turns, **more}


WORDS = messages("Hi")
LISTED = messages("<image>?", images=["a.png"])
OURS = messages([{"type": "image", "path": "a.png"}], id="1")
THEIRS = messages([{"type": "image", "image": "a.png"}])
TALK = {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]}
ASKED = {"conversations": [{"from": "human", "value": "<image>?"}, *TALK["conversations"][1:]]}
MADE = {"conversations": [TALK["conversations"][0], {"from": "gpt", "value": "<image>"}]}
ALPACA = {"instruction": "Hi", "output": "Yo"}

# Rows, their format, and how many media there are.
KNOWN = [
    ([WORDS, LISTED], "llama-factory", 1),
    ([OURS], "messages", 1),
    ([WORDS, OURS], "messages", 1),
    ([WORDS, {**WORDS, "id": 7}], "messages", 0),
    ([OURS, THEIRS], "llama-factory", 2),
    ([WORDS, messages([{"type": "image_url", "image_url": {"url": "a.png"}}])], "llama-factory", 1),
    ([TALK, {**ASKED, "image": "a.png"}], "llava", 1),
    ([TALK, {**ASKED, "images": ["a.png"]}], "sharegpt", 1),
    ([TALK, {**ASKED, "input_image": "a.png"}], "nextgpt", 1),
    ([TALK, {**MADE, "image_captions": ["x"]}], "t2m", 1),
    ([{**ASKED, "input_image": "a.png"}, {**MADE, "image_captions": ["x"]}], "nextgpt", 2),
    ([{**ASKED, "image": "a.png", "caption": "a cat"}], "llava", 1),
    ([ALPACA, {**ALPACA, "instruction": "<image>?", "images": ["a.png"]}], "alpaca", 1),
    ([*[WORDS] * 1200, LISTED], "llama-factory", 1),
    ([{"x": 1}, [1], {**ASKED, "image": "a.png"}], "llava", 1),
]


@pytest.mark.parametrize(("rows", "format", "media"), KNOWN)
def test_all_rows_are_asked(
    write_json: WriteJson, rows: list[Any], format: str, media: int
) -> None:
    records = Records(write_json(rows))
    assert records.format.name == format
    good = [records[i] for i, row in enumerate(rows) if isinstance(row, dict) and "x" not in row]
    assert sum(len(message.media()) for talk in good for message in talk) == media


def test_rows_of_several_formats_and_words_like_placeholders_are_asked_about(
    write_json: WriteJson,
) -> None:
    path = write_json([{"image": "a.png", "caption": "x"}, WORDS, WORDS])
    problem = r"no format fits all of its rows.*1 as pairs \(.*rows.json:2\); 2 as mes"
    with pytest.raises(ValueError, match=problem + ".*--format"):
        Records(path)
    path = write_json([WORDS, messages("<video> is a tag")])
    with pytest.raises(ValueError, match="<video> in its texts is words if .* messages.*--format"):
        Records(path)
    assert Records(path, "messages")[1][0].text == "<video> is a tag"


def test_the_format_is_named_in_errors(write_json: WriteJson) -> None:
    path = write_json([{**ASKED, "image": "gone.png"}, {**TALK, "image": "a.png"}])
    with pytest.raises(ValueError, match=r"rows.json:2: .*gone.png.* \(read as llava, known by si"):
        Records(path)[0]
    with pytest.raises(ValueError, match=r"no turns.*\(read as llama-factory\)$"):
        Records(write_json([{"x": 1}]), "llama-factory")[0]


def test_renamed_columns_are_known(write_json: WriteJson) -> None:
    path = write_json([{"picture": "a.png", "title": "x"}])
    columns = {"image": "picture", "caption": "title"}
    assert recognise(path, ReadOptions(columns=columns)).name == "pairs"


def test_one_row_with_pictures_is_no_coco(folder: Path) -> None:
    path = folder / "one.json"
    path.write_text(json.dumps({**ASKED, "images": ["a.png"]}))
    assert Records(path).format.name == "sharegpt"


def test_all_shards_are_asked(write_json: WriteJson, folder: Path) -> None:
    write_json([WORDS] * 3, "a.jsonl")
    write_json([LISTED], "b.jsonl")
    shards = Records(folder, on_disk=True)
    assert len(shards[3][0].media()) == 1
