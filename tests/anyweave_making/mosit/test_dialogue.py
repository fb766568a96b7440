"""The written form of a dialogue, its row, and what is no dialogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from anyweave.data.written import write_conversation
from anyweave.messages import Audio, Image, Message, Text
from anyweave_making.mosit.dialogue import Dialogue
from anyweave_making.mosit.prompting import read_examples
from anyweave_making.release import Origin
from anyweave_making.written import read_conversation

TEXT = """Human: [image: a red tent] What is it? [audio: rain]
Machine: A tent in the rain. It holds:
1. you
2. me
Human: Show me more.
Machine: Here: [video: a tent in the wind] Enough?"""


def test_written_and_read_again() -> None:
    conversation = read_conversation(TEXT)
    assert [message.role for message in conversation] == ["user", "assistant"] * 2
    assert conversation[0].parts == (
        Image(caption="a red tent"),
        Text("What is it?"),
        Audio(caption="rain"),
    )
    assert conversation[3].text == "Here: Enough?"
    assert write_conversation(conversation) == TEXT
    assert read_conversation(f"Sure! Here you are.\n\n{TEXT}\n") == conversation
    marked = TEXT.replace("Human:", "**Human:**").replace("Machine:", "machine :")
    assert read_conversation(marked.replace("[image: a", "[ Image : a")) == conversation


def test_brackets_in_captions_do_not_break_the_form() -> None:
    said = [Message("user", Image(caption="a [red] tent")), Message("assistant", "ok")]
    assert read_conversation(write_conversation(said))[0].media()[0].caption == "a (red) tent"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "begins with Human: and ends with Machine:"),
        ("Hello there", "begins with Human:"),
        ("Human: hi", "ends with Machine:"),
        ("Machine: hi\nHuman: hi", "line 1 is Machine's; the two take turns"),
        ("Human: a\nHuman: b\nMachine: c", "line 2 is Human's"),
        ("Human: a\nMachine:  ", "line 2 says nothing"),
        ("Human: a\nMachine: look <image> there", "line 2 writes a medium as '<image> there'"),
        ("Human: a\nMachine: [a picture of x] [video]", r"a medium as '\[video\]'"),
    ],
)
def test_what_is_no_dialogue(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_conversation(text)


def test_rows_keep_everything() -> None:
    conversation = read_conversation(TEXT)
    dialogue = Dialogue(
        id="d",
        topic="rain",
        writer="me",
        conversation=conversation,
        tags=("explicit",),
        origins=(Origin(how="retrieved", score=0.5),),
    )
    assert dialogue.origins == (Origin(how="retrieved", score=0.5), None, None)
    assert dialogue.num_turns == 2
    parts = [Image("a.png", caption="x"), Audio("b.wav", caption="y"), *conversation[3].media()]
    filled = dialogue.with_media(parts, dialogue.origins)
    back = Dialogue.from_row(filled.to_row())
    assert back == filled
    assert [part.source for part in back.conversation[0].media()] == ["a.png", "b.wav"]


def test_our_template_dialogues_are_dialogues(tmp_path: Path) -> None:
    examples = read_examples()
    assert len(examples) >= 5
    for example in examples:
        conversation = read_conversation(example)
        assert all(
            any(m.media() for m in conversation if m.role == r) for r in ("user", "assistant")
        )
    (tmp_path / "x.txt").write_text("Human: a\nMachine: b\n\nHuman: a")
    with pytest.raises(ValueError, match="x.txt: example 2: a dialogue begins"):
        read_examples(tmp_path / "x.txt")
