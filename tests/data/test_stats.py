"""The row of Table 6, counted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from anyweave.data.messages_jsonl import write_messages
from anyweave.data.stats import chosen, measure, measure_file
from anyweave.data.validation import validate
from anyweave.messages import Audio, Conversation, Image, Message, Part, Video

from .conftest import WriteJson

Content = str | Part | Iterable[Part | str]
"""What a message may be made of."""


def exchange(user: Content, assistant: Content) -> Conversation:
    return [Message("user", user), Message("assistant", assistant)]


def test_modalities_that_are_combined_and_that_are_not() -> None:
    t2m = measure(
        exchange("x", ["here", kind(f"{n}", caption="x")])
        for n, kind in enumerate((Image, Video, Audio))
    )
    assert t2m.in_out == "T→T+I/A/V"
    assert t2m.media == {"image": 1, "video": 1, "audio": 1}
    mosit = measure(
        [
            [
                *exchange([Image("a"), "?"], ["see", Video("b", caption="b")]),
                *exchange([Audio("c"), Video("d"), "?"], Image("a", caption="a")),
                *exchange("and?", "so"),
            ],
            exchange([Image("a"), "?"], "yes"),
        ]
    )
    assert mosit.in_out == "T+I+A+V→T+I+V"
    row = mosit.to_dict()
    assert row["media"] == {"image": 1, "video": 2, "audio": 1}  # the same file is one
    assert row["uses"]["user"] == {"image": 2, "video": 1, "audio": 1}
    assert row["uses"]["assistant"] == {"image": 1, "video": 1, "audio": 0}
    assert (row["mean_turns"], row["instances"], row["turns"]) == (2.0, 2, {"1": 1, "3": 1})


def test_media_known_by_caption_alone_are_different_ones() -> None:
    stats = measure([exchange("x", [Image(caption="a"), Image(caption="a")])] * 2)
    assert stats.media == {"image": 4}
    assert stats.in_out == "T→I"


def test_nothing() -> None:
    stats = measure([])
    assert (stats.in_out, stats.mean_turns, stats.instances) == ("-→-", 0.0, 0)


def test_files_and_folders(tmp_path: Path) -> None:
    write_messages([[Message("system", "be kind"), *exchange("a", "b")]], tmp_path / "x.jsonl")
    assert measure_file(tmp_path / "x.jsonl").in_out == "T→T"
    with pytest.raises(ValueError, match="has no messages.jsonl"):
        measure_file(tmp_path)
    (tmp_path / "x.jsonl").rename(tmp_path / "messages.jsonl")
    assert measure_file(tmp_path).instances == 1


def test_every_format_is_counted_as_validate_reads_it(folder: Path, write_json: WriteJson) -> None:
    asked = [
        {"from": "human", "value": "<image>?"},
        {"from": "gpt", "value": "A cat."},
    ]
    rows: dict[str, dict[str, Any]] = {
        "llava": {"image": "a.png", "conversations": asked},
        "sharegpt": {"images": ["a.png"], "conversations": asked, "tools": "x"},
        "nextgpt": {"input_image": "a.png", "conversations": asked},
        "alpaca": {"instruction": "<image>?", "output": "A cat.", "images": ["a.png"]},
        "pairs": {"image": "a.png", "caption": "A cat."},
        "coco": {"images": [{"filename": "a.png", "sentences": [{"raw": "A cat."}]}]},
    }
    for name, row in rows.items():
        path = write_json(row if name == "coco" else [row], f"{name}.json")
        stats = measure_file(path)
        assert (stats.in_out, stats.instances, stats.media) == ("T+I→T", 1, {"image": 1})
        report = validate(path, workers=0)
        assert report.problems == [] and report.formats == {str(path): name}
        assert dict(stats.lost) == report.lost == ({"the key 'tools'": 1} if "tools" in row else {})
        assert len(chosen(path, 1)) == 1
    table = folder / "t.csv"
    table.write_text("image,caption\na.png,A cat.\n")
    assert measure_file(table, task="generate").in_out == "T→I"
    with pytest.raises(ValueError, match="no such file"):
        measure_file(folder / "gone.json")


def test_chosen_conversations_are_the_same_for_a_seed_and_need_no_media(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    write_messages([exchange(f"ask {n}", f"answer {n}") for n in range(20)], file)
    some = chosen(tmp_path, 5, seed=1)
    assert some == chosen(file, 5, seed=1) != chosen(file, 5, seed=2)
    assert [index for index, _ in some] == sorted({index for index, _ in some})
    assert all(said[0].text == f"ask {index}" for index, said in some)
    assert len(chosen(file, 99)) == 20
