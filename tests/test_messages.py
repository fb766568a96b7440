"""The rules of a conversation, and that whoever reads one asks them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from anyweave.data import Records, read_messages
from anyweave.data.conversion import convert
from anyweave.data.validation import validate
from anyweave.messages import Image, Message, broken_rules, silent_replies

SYSTEM, USER = Message("system", "Be brief."), Message("user", "Hi")
REPLY, NOTHING = Message("assistant", "Yo"), Message("assistant", " ")


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([], "the conversation has no messages"),
        ([SYSTEM, SYSTEM, USER, REPLY], "message 1 is a system message; only the first message"),
        ([USER, SYSTEM, REPLY], "message 1 is a system message; only the first message may be one"),
        ([Message("user", Image()), REPLY], "message 0: the image in a user message has no source"),
    ],
)
def test_what_is_no_conversation(messages: list[Message], problem: str) -> None:
    assert broken_rules(messages)[0].startswith(problem)


def test_what_is_one() -> None:
    for messages in ([SYSTEM], [SYSTEM, USER, REPLY], [REPLY, USER, USER], [USER, NOTHING]):
        assert broken_rules(messages) == []


def test_silent_replies() -> None:
    assert silent_replies([USER, REPLY]) == []
    assert silent_replies([USER, Message("assistant", Image(caption="a cat"))]) == []
    for silent in ([USER], [USER, NOTHING], [USER, Message("assistant", [])]):
        assert silent_replies(silent) == ["nothing to learn: the assistant says nothing"]
    said = silent_replies([USER, REPLY, USER, NOTHING])
    assert said == ["message 3: the assistant says nothing; take it out"]


def test_readers_ask(tmp_path: Path) -> None:
    talk = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]
    kind = {"system": "Be brief.", "conversations": [{"from": "system", "value": "!"}, *talk]}
    later = {"conversations": [*talk, {"from": "system", "value": "!"}]}
    path = tmp_path / "s.json"
    path.write_text(json.dumps([kind, later, {"conversations": talk}], indent=1))
    report = validate(path)
    assert [problem.record for problem in report.problems] == [0, 1]
    assert "s.json:2: message 1 is a system message" in report.problems[0].problem
    done = convert(Records(path), tmp_path / "s.jsonl", skip=True)
    assert done.skipped == {"message N is a system message": 2} and done.written == 1
    with pytest.raises(ValueError, match=r"s.json:2: message 1 is a system message.*--skip"):
        convert(Records(path), tmp_path / "t.jsonl")
    turn = {"role": "system", "content": "!"}
    ours = tmp_path / "ours.jsonl"
    ours.write_text(json.dumps({"messages": [turn, turn]}) + "\n")
    with pytest.raises(ValueError, match="ours.jsonl:1: message 1 is a system message"):
        list(read_messages(ours))
