"""Our own format: what is written is read back, and whatever is wrong is named by file and line."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anyweave import media
from anyweave.data import MessagesJsonl, read_messages, write_messages
from anyweave.messages import (
    MEDIA_TYPES,
    PAPER_MODALITIES,
    Audio,
    Conversation,
    Image,
    Message,
    Modality,
    Text,
    Video,
)

PIXELS = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
FRAMES = np.stack([PIXELS] * 3)
SAMPLES = np.linspace(-0.5, 0.5, 800, dtype=np.float32)


def dialogue() -> list[Message]:
    return [
        Message("system", "You see."),
        Message("user", ["What is this? ", Image(PIXELS), " and ", Audio(SAMPLES, rate=16_000)]),
        Message("assistant", [Text("A picture."), Video(FRAMES, caption="noise", rate=8)]),
        Message("user", "Another\nline \u2028 and a \U0001f600"),
        Message("assistant", Image(caption="known by its caption")),
    ]


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert write_messages([dialogue(), dialogue()[3:]], path) == 2
    first, second = read_messages(path)
    assert [m.role for m in first] == [m.role for m in dialogue()]
    assert [m.text for m in first] == [m.text for m in dialogue()]
    assert second == dialogue()[3:]
    image, sound = first[1].media()
    np.testing.assert_array_equal(media.load(image), PIXELS)
    np.testing.assert_allclose(media.load(sound), SAMPLES, atol=1e-4)
    clip = first[2].media()[0]
    assert clip.caption == "noise"
    assert media.load_video_with_rate(clip)[0].shape == FRAMES.shape
    assert media.load_video_with_rate(clip)[1] == pytest.approx(8)
    assert first[4].media()[0].source is None
    assert image.source == str(tmp_path / "a_media" / "000000_1_1.png")


def test_the_lines_are_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write_messages([dialogue()], path, media_dir=tmp_path / "pictures")
    row = json.loads(path.read_text(encoding="utf-8"))
    assert row["messages"][0] == {"role": "system", "content": "You see."}
    assert row["messages"][2]["content"] == [
        {"type": "text", "text": "A picture."},
        {"type": "video", "path": "pictures/000000_2_1.mp4", "caption": "noise"},
    ]


def test_bytes_are_kept_and_files_stay(tmp_path: Path) -> None:
    data = media.encode("image", PIXELS, format="jpeg")
    outside = media.save("image", PIXELS, tmp_path / "outside.png")
    folder = tmp_path / "set"
    folder.mkdir()
    inside = media.save("image", PIXELS, folder / "inside.png")
    pil = PIL.Image.fromarray(PIXELS)
    message = Message("user", [Image(data), Image(outside), Image(str(inside)), Image(pil)])
    write_messages([[message]], folder / "a.jsonl")
    row = json.loads((folder / "a.jsonl").read_text())
    paths = [part["path"] for part in row["messages"][0]["content"]]
    assert paths == [
        "a_media/000000_0_0.jpg",
        outside.as_posix(),
        "inside.png",
        "a_media/000000_0_3.png",
    ]
    assert (folder / paths[0]).read_bytes() == data
    assert len(next(read_messages(folder / "a.jsonl"))[0].media()) == 4


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_every_encoding_is_kept(tmp_path: Path, modality: Modality) -> None:
    media_of: dict[Modality, tuple[np.ndarray, float | None]] = {
        "image": (PIXELS, None),
        "video": (FRAMES, 8),
        "audio": (SAMPLES, 16_000),
    }
    array, rate = media_of[modality]
    parts = [
        MEDIA_TYPES[modality](media.encode(modality, array, rate=rate, format=format))
        for format in media.FORMATS[modality]
    ]
    write_messages([[Message("user", parts)]], tmp_path / "a.jsonl")
    read = next(read_messages(tmp_path / "a.jsonl"))[0].media()
    for part, again in zip(parts, read, strict=True):
        np.testing.assert_array_equal(media.load(part), media.load(again))


def test_reading_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = json.dumps({"messages": [{"role": "user", "content": "hi"}]})
    path.write_text(f"\ufeff{good}\n\n  \n{good}\nnot json\n", encoding="utf-8")
    conversations = read_messages(path)
    assert isinstance(conversations, Iterator)
    assert next(conversations) == next(conversations) == [Message("user", "hi")]
    with pytest.raises(ValueError, match=re.escape(f"{path}:5: bad JSON")):
        next(conversations)


def test_by_index(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    conversations = [[Message("user", f"number {i} é")] for i in range(5)]
    write_messages(conversations, path)
    path.write_text(path.read_text(encoding="utf-8").replace("\n", "\n\n"), encoding="utf-8")
    rows = MessagesJsonl(path)
    assert len(rows) == 5 and list(rows) == conversations
    assert rows[-1] == conversations[-1] and rows[1:3] == conversations[1:3]
    with pytest.raises(IndexError):
        rows[5]


def one(role: str = "user", **part: object) -> dict[str, object]:
    return {"messages": [{"role": role, "content": [part]}]}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "bad JSON"),
        ("[]", "an object with messages, got []"),
        ({}, "the key 'messages' is missing"),
        ({"message": []}, "unknown key 'message'; did you mean 'messages'?"),
        ({"messages": []}, "messages: a list of at least one message, got []"),
        ({"messages": "hi"}, 'messages: a list of at least one message, got "hi"'),
        ({"messages": ["hi"]}, 'messages[0]: an object with role, content, got "hi"'),
        ({"messages": [{"role": "user"}]}, "messages[0]: the key 'content' is missing"),
        (
            {"messages": [{"role": "robot", "content": "hi"}]},
            'messages[0]: unknown role "robot"; a role is system, user, assistant',
        ),
        ({"messages": [{"role": ["user"], "content": ""}]}, 'unknown role ["user"]'),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content: a string or a list of parts, got 5",
        ),
        (
            {"messages": [{"role": "user", "content": ["hi"]}]},
            'messages[0].content[0]: a part is an object with a type, got "hi"',
        ),
        (one(text="hi"), "a part is an object with a type"),
        (one(type="smell"), 'unknown type "smell"; a type is text, image, video, audio'),
        (one(type=["text"]), 'unknown type ["text"]'),
        (one(type="text"), "messages[0].content[0]: the key 'text' is missing"),
        (one(type="text", text=1), "messages[0].content[0].text: it must be a string, got 1"),
        (one(type="text", text="a\ud800"), "half a surrogate pair is no text"),
        (one(type="text", text="a", path="b"), "unknown key 'path'; known: type, text"),
        (one(type="image", url="b"), "unknown key 'url'; known: type, path, caption"),
        (one(type="image", paht="b"), "unknown key 'paht'; did you mean 'path'?"),
        (one(type="image"), "it has no path; only an assistant's medium"),
        (one(type="image", caption="a cat"), "it has no path; only an assistant's medium"),
        (one("assistant", type="image"), "it has no path; only an assistant's medium"),
        (one("assistant", type="image", caption=3), ".caption: it must be a string, got 3"),
        (one(type="image", path=3), ".path: it must be a string, got 3"),
        (one(type="image", path=""), ".path: it is empty"),
        (one(type="image", path="none.png"), "[0].path: no such media file: "),
        (one(type="image", path="/none/a.png"), "no such media file: /none/a.png; paths are relat"),
        (one(type="image", path="../none.png"), "no such media file: "),
        (
            {"messages": [{"role": "system", "content": [{"type": "image", "path": "a.jsonl"}]}]},
            "messages[0]: a system message holds only text, got image",
        ),
    ],
)
def test_errors_name_file_line_and_place(
    tmp_path: Path, row: str | dict[str, Any], problem: str
) -> None:
    path = tmp_path / "a.jsonl"
    line = row if isinstance(row, str) else json.dumps(row)
    path.write_text('{"messages": [{"role": "user", "content": "fine"}]}\n' + line + "\n")
    with pytest.raises(ValueError) as caught:
        list(read_messages(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert problem in str(caught.value)
    with pytest.raises(ValueError, match=re.escape(f"{path}:2: ")):
        MessagesJsonl(path)[1]


def test_media_need_not_be_there_if_not_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(one(type="image", path="none.png")))
    assert next(read_messages(path, check_media=False))[0].media()[0].name == str(
        tmp_path / "none.png"
    )


def test_not_a_file(tmp_path: Path) -> None:
    for read in (read_messages, MessagesJsonl):
        with pytest.raises(ValueError, match="none.jsonl: no such file; give a messages file"):
            read(tmp_path / "none.jsonl")
        with pytest.raises(ValueError, match="it is a folder"):
            read(tmp_path)
    (tmp_path / "latin.jsonl").write_bytes(b'{"messages": "\xe9"}\n')
    with pytest.raises(ValueError, match=r"latin.jsonl:1: not UTF-8"):
        list(read_messages(tmp_path / "latin.jsonl"))


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ([], "conversation 2: the conversation has no messages; leave it out"),
        (
            [Message("user", Image(caption="a cat"))],
            "conversation 2: message 0: the image in a user message has no",
        ),
        ([Message("user", "?"), Message("system", "!")], "message 1 is a system message; only the"),
        (
            [Message("assistant", Image())],
            "the assistant's image has neither a source nor a caption",
        ),
        ([Message("user", Image(b"no picture"))], "conversation 2: <image from bytes>: "),
        ([Message("user", Image("none.png"))], "conversation 2: no such media file: none.png"),
        ([Message("user", Audio(SAMPLES))], "sampling rate in Hz, got rate=None"),
        ([Message("user", "a\ud800")], "conversation 2: half a surrogate pair"),
    ],
)
def test_a_failed_write_leaves_nothing_new(tmp_path: Path, bad: Conversation, problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("before")
    with pytest.raises(ValueError, match=re.escape(problem)):
        write_messages([[Message("user", Image(PIXELS))], bad], path)
    assert path.read_text() == "before"
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


def test_writing_into_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder .*; make it first"):
        write_messages([], tmp_path / "no" / "a.jsonl")


texts = st.text(st.characters(exclude_categories=["Cs"]))
parts = st.one_of(
    texts.map(Text),
    st.sampled_from(PAPER_MODALITIES).flatmap(
        lambda m: texts.map(lambda caption: MEDIA_TYPES[m](caption=caption))
    ),
)
messages = st.one_of(
    st.builds(Message, st.just("user"), texts.map(Text)),
    st.builds(Message, st.just("assistant"), st.lists(parts, max_size=4)),
)
system = st.lists(st.builds(Message, st.just("system"), texts.map(Text)), max_size=1)
conversations = st.builds(
    lambda first, others: [*first, *others], system, st.lists(messages, min_size=1, max_size=4)
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(conversations, max_size=4))
def test_any_conversations_survive(tmp_path: Path, conversations: list[Conversation]) -> None:
    path = tmp_path / "a.jsonl"
    write_messages(conversations, path)
    assert list(read_messages(path)) == conversations
    assert list(MessagesJsonl(path)) == conversations
