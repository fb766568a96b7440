"""The requests themselves: enough of every kind, no two alike, and none that training saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from anyweave.evaluation.decision import Request, choose, load_requests
from emoji_mini.emoji_talk import Dialogues
from emoji_mini.emoji_talk.phrases import tables
from emoji_mini.emoji_world.held_out import held_out_words, leaks, plain


def last(request: Request) -> str:
    return request.messages[-1].text


def test_all_groups_are_of_one_size() -> None:
    requests = load_requests()
    assert len(requests) == 1000 == len({request.id for request in requests})
    groups = Counter(request.group for request in requests)
    assert groups == dict.fromkeys(("none", "image", "audio", "video", "several"), 200)
    assert Counter(request.split for request in requests) == {"test": 800, "dev": 200}
    assert min(Counter(request.kind for request in requests).values()) >= 20
    assert len({request.wanted for request in requests if request.group == "several"}) >= 15


def test_requests_are_conversations_that_end_with_a_user() -> None:
    for request in load_requests():
        roles = [message.role for message in request.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"], request.id
        assert (len(roles) > 1) == (request.kind == "follow-up"), request.id
        assert all(message.text == message.text.strip() != "" for message in request.messages)
        assert not any(m.media() for m in request.messages if m.role == "user")


def test_no_two_requests_are_alike() -> None:
    """Not in their words, and not in the frame around their nouns: they were written one by one."""
    said = Counter(plain(last(request)) for request in load_requests())
    assert said.most_common(1)[0][1] == 1
    openings = Counter(" ".join(text.split()[:4]) for text in said)
    assert openings.most_common(1)[0][1] <= 12


def test_a_limit_takes_of_every_group() -> None:
    assert {request.group for request in choose(limit=5)} == {r.group for r in load_requests()}
    assert len(choose("dev")) == 200 and len(choose("test", 7)) == 7
    with pytest.raises(ValueError, match="no split 'train'; there are all, dev, test"):
        choose("train")
    with pytest.raises(ValueError, match="at least 1"):
        choose(limit=0)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from texts(part)


def test_no_table_of_phrases_gives_a_request_away() -> None:
    said = [last(request) for request in load_requests()]
    lines = list(texts(tables()))
    assert len(lines) > 2000
    assert leaks(lines, said) == []


def test_no_held_out_request_of_the_world_is_among_them() -> None:
    assert [r.id for r in load_requests() if plain(last(r)) in held_out_words()] == []


def test_no_training_conversation_holds_one() -> None:
    requests = {plain(last(request)): request.id for request in load_requests()}
    conversations = Dialogues("train", 300, 0)
    for number in range(len(conversations)):
        for message in conversations[number]:
            assert plain(message.text) not in requests
