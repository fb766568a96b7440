"""Every format: its published form is read, what is written is read back the same, and what has no
place in it is said.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.data import FORMATS, Records, resolve
from anyweave.data.place import Place, ReadOptions, Task
from anyweave.messages import PAPER_MODALITIES, Audio, Conversation, Message

from .conftest import WriteJson
from .published import (
    ANY,
    CAPTIONS,
    PAIR,
    PUBLISHED,
    SYSTEM,
    TALK,
    WORDS,
    Turn,
    ask,
    gpt,
    human,
    made,
    on_disk,
    read,
    say,
    told,
    write,
)


@pytest.mark.parametrize(("format", "row", "expected"), PUBLISHED)
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_published_rows(
    folder: Path, write_json: WriteJson, format: str, row: Any, expected: list[Turn], name: str
) -> None:
    assert read(write_json([row], name), format) == [expected]


# --- round trips

# Format, a conversation it can hold, and what it loses of it.
ROUND_TRIPS = [
    ("messages", [SYSTEM, *ANY], ()),
    ("messages", CAPTIONS, ()),
    ("sharegpt", [SYSTEM, *TALK], ()),
    ("llama-factory", [SYSTEM, *TALK], ()),
    ("ms-swift", [SYSTEM, *TALK], ()),
    ("nextgpt", ANY, ()),
    ("nextgpt", CAPTIONS, ()),
    ("mosit", ANY, ()),
    ("mosit-legacy", ANY, ()),
    ("t2m", CAPTIONS, ()),
    *(("t2m", [WORDS[0], made(modality)], ()) for modality in PAPER_MODALITIES),
    *(("t2m-legacy", [WORDS[0], made(modality)], ()) for modality in PAPER_MODALITIES),
    ("t2m-legacy", CAPTIONS, ()),
    ("llava", PAIR["image"], ()),
    ("llava", TALK[:2], ()),
    ("llava", WORDS, ()),
    ("videochat", [SYSTEM, *PAIR["video"], *WORDS], ()),
    ("alpaca", WORDS, ()),
]


@pytest.mark.parametrize(("format", "conversation", "lost"), ROUND_TRIPS)
def test_round_trips(
    folder: Path, format: str, conversation: Conversation, lost: tuple[str, ...]
) -> None:
    assert write(conversation, folder, format, "out.json") == lost
    assert read(folder / "out.json", format) == [told(on_disk(conversation, folder), folder)]


@pytest.mark.parametrize(
    ("format", "conversation", "problem"),
    [
        ("pairs", TALK, "a pair is one question with one answer and one medium; this has 4 mess"),
        ("cc3m", PAIR["video"], "its medium is video; this format is for image"),
        ("coco", PAIR["audio"], "its medium is audio; this format is for image"),
        ("alpaca", PAIR["image"], "Alpaca is text; this has media"),
        ("alpaca", [*WORDS, *WORDS], "Alpaca is one request and one reply; this has 4 messages"),
        ("llava", ANY, "the assistant makes a medium; LLaVA's replies are words"),
        ("videochat", TALK, "VideoChat asks about one medium, shown in the first turn"),
        ("t2m-legacy", WORDS, "one request in words and one reply with one medium"),
        ("mosit-legacy", CAPTIONS, r"known by its caption alone \('rain'\) has no file"),
        ("sharegpt", CAPTIONS, r"known by its caption alone \('rain'\) has no file"),
        ("sharegpt", [Message("user", "an <image> tag"), WORDS[1]], "has the letters <image>"),
    ],
)
def test_what_has_no_meaning_in_a_format(
    folder: Path, format: str, conversation: Conversation, problem: str
) -> None:
    with pytest.raises(ValueError, match=rf"ours-of-out.json.jsonl:1: .*{problem}.*--skip leaves"):
        write(conversation, folder, format, "out.json")


def test_what_is_lost_is_said(folder: Path) -> None:
    assert write([SYSTEM, *WORDS], folder, "alpaca", "1.json") == ("system messages",)
    assert write(ANY, folder, "ms-swift", "2.json") == ("captions of media",)
    assert write([SYSTEM, *ANY], folder, "mosit", "3.json") == ("system messages",)
    first = [WORDS[0], Message("assistant", [Audio("b.wav", caption="rain"), "Here."])]
    assert write(first, folder, "t2m-legacy", "4.json") == ("place of the medium",)


# --- what is wrong with rows


@pytest.mark.parametrize(
    ("format", "row", "problem"),
    [
        ("llava", {"image": "a.png", "conversations": []}, "conversations: a list of at least one"),
        ("llava", {"image": "a.png"}, "the key 'conversations' is missing"),
        ("llava", {"conversations": [human("<image>?"), gpt("!")]}, "more <image> placeholders th"),
        (
            "llava",
            {"image": ["a.png", "d.png"], "conversations": [human("<image>?"), gpt("!")]},
            "1 more image media than <image> placeholders",
        ),
        (
            "llava",
            {"conversations": [{"from": "cat", "value": "x"}, human("?"), {"from": "gpt"}]},
            "conversations[0]: unknown role \"cat\"; known: system, user, assistant, human, gpt",
        ),
        ("llava", {"image": "no.png", "conversations": [human("?")]}, "image: no such media file"),
        ("mosit", {"text": "x"}, "neither 'conversations' (2024) nor 'conversation' (2023)"),
        (
            "mosit",
            {
                "output_image": ["a.png"],
                "image_captions": ["a", "b"],
                "conversations": [human("?"), gpt("<image>")],
            },
            "output_image: 1 names but 2 captions",
        ),
        ("t2m", {"mm_name": "a.png", "conversation": [human("?", input_modality="smell")]},
         "unknown input_modality \"smell\""),
        ("sharegpt", {"images": []}, "no turns; they stand in messages, conversations"),
        (
            "ms-swift",
            {"messages": [{"role": "tool", "content": "x"}]},
            "messages[0]: unknown role \"tool\"; known: system, user",
        ),
        ("pairs", {"caption": "a cat"}, "no medium; its key is one of image, image_name"),
        ("pairs", {"image": "a.png"}, "no caption; its key is one of caption, text"),
        ("pairs", {"image": "a.png", "caption": "  "}, "caption: the caption is empty"),
        ("pairs", {"image": "https://x/a.png", "caption": "a"}, "is a URL; download it and give"),
        ("alpaca", {"instruction": "x"}, "the key 'output' is missing"),
        ("videochat", {"video": "c.mp4", "QA": [{"q": "?"}]}, "QA[0]: the key 'a' is missing"),
        ("videochat", ["QA"], "an object is needed, got"),
    ],
)  # fmt: skip
def test_bad_rows_are_named(write_json: WriteJson, format: str, row: Any, problem: str) -> None:
    path = write_json([{"fine": 1}, row], "rows.jsonl")
    with pytest.raises(ValueError) as caught:
        Records(path, format)[1]
    assert str(caught.value).startswith(f"{path}:2: ") and problem in str(caught.value)


def test_captions_stand_for_media_that_were_never_published(write_json: WriteJson) -> None:
    row = {
        "image_list": [{"image_name": "gone.jpg", "caption": "a fox"}],
        "conversation": [human("A fox!"), gpt("Here. <Image>gone.jpg</Image>")],
    }
    path = write_json([row])
    with pytest.raises(ValueError, match=r"no such media file: .*gone.jpg"):
        Records(path, "mosit")[0]
    found = read(path, "mosit", captions_only=True)
    assert found == [[ask("A fox!"), say("Here.", ("image", None, "a fox"))]]


DEEP: list = []
for _ in range(300):
    DEEP = [DEEP]
HOSTILE = [10**5000, float("inf"), float("nan"), {1: 2, None: 3}, DEEP, b"\xff", "../" * 2000, "\0"]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", "image", "<image>", "\ud800"])
    | st.integers(0, len(HOSTILE) - 1).map(lambda number: HOSTILE[number]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "path", "bytes", "from"]), inner, max_size=2)
    ),
    max_leaves=4,
)
KNOWN_ROWS = [
    *((format, row) for format, row, _ in PUBLISHED),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "image", "path": "a.png"}]}]}),
    ("webvid", {"videoid": 1, "page_dir": "0", "name": "a fox"}),
    ("audiocaps", {"audiocap_id": 1, "youtube_id": "a", "start_time": 3, "caption": "rain"}),
    ("coco", {"image": "a.png", "caption": "a cat"}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values in a row."""
    yield path
    inner = dict(enumerate(value)) if isinstance(value, list) else value
    for key, found in inner.items() if isinstance(inner, dict) else ():
        yield from places(found, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(
    data=st.data(),
    known=st.sampled_from(KNOWN_ROWS),
    task=st.sampled_from(["describe", "generate"]),
)
def test_any_row_is_read_or_refused(
    data: st.DataObject, known: tuple[str, Any], task: Task
) -> None:
    format, row = known
    for _ in range(data.draw(st.integers(1, 2))):
        row = replaced(row, data.draw(st.sampled_from(list(places(row)))), data.draw(ANYTHING))
    options = ReadOptions(check_media=data.draw(st.booleans()), task=task)
    place = Place("rows.json:1", Path("none"), options)
    if isinstance(row, dict):
        assert {known.recognises(row) for known in map(resolve, FORMATS)} <= {True, False, None}
    try:
        conversation = resolve(format).read(row, place)
        " ".join(place.lost).encode()
    except ValueError as error:
        assert str(error).startswith("rows.json:1: ")
        str(error).encode()
    else:
        assert all(isinstance(message, Message) for message in conversation)


# --- names


def test_all_formats_resolve_and_know_their_names() -> None:
    for name in FORMATS:
        assert resolve(name).name == name
    with pytest.raises(ValueError, match="unknown format 'lava'; did you mean 'llava'?"):
        resolve("lava")
    with pytest.raises(ValueError, match="unknown format 'zzz'; known formats: messages, coco"):
        resolve("zzz")


@pytest.mark.parametrize(("format", "row", "expected"), PUBLISHED)
def test_formats_are_known_by_sight(
    folder: Path, write_json: WriteJson, format: str, row: Any, expected: list[Turn]
) -> None:
    assert read(write_json([row]), None) == [expected]  # whatever it is called


def test_rows_that_nobody_knows(write_json: WriteJson) -> None:
    with pytest.raises(ValueError, match="in no format that is known by sight; name it: messages"):
        Records(write_json([{"x": 1}]))


def test_a_wrong_option() -> None:
    with pytest.raises(ValueError, match="unknown task 'draw'; a task is describe, generate"):
        ReadOptions(task="draw")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match="media folders are for image, video, audio, depth, table, got 'smell'"
    ):
        ReadOptions(media={"smell": "x"})


def test_records_take_every_option_of_reading_by_name() -> None:
    """Editors see them; a new option that is not passed on would be read with its default."""
    taken = inspect.signature(Records).parameters
    options = dataclasses.fields(ReadOptions)
    names = {item.name for item in options}
    assert set(taken) == {"path", "format", "on_disk", "index_dir", *names}
    for item in options:
        default = None if item.name == "columns" else getattr(ReadOptions(), item.name)
        assert taken[item.name].default == default
