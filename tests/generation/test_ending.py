"""Stop strings, however the text is cut into pieces."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyweave.generation.ending import StopStrings
from anyweave.generation.events import TextDelta

WORDS = st.text("ab\n", min_size=1, max_size=4)


def told(stops: list[str], pieces: list[str]) -> tuple[list[TextDelta], StopStrings]:
    strings = StopStrings(stops)
    out: list[TextDelta] = []
    for number, piece in enumerate(pieces):
        out += strings.push(TextDelta(text=piece, token_ids=(number,)))
    return [*out, *strings.release()], strings


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, max_size=12))
def test_the_text_ends_before_the_first_stop(stops: list[str], pieces: list[str]) -> None:
    text = "".join(pieces)
    given_out, strings = told(stops, pieces)
    # A stop is found when it is complete: the first to be so counts.
    ends = [text.find(stop) + len(stop) for stop in stops if stop in text]
    assert strings.found == bool(ends)
    said = "".join(delta.text for delta in given_out)
    assert text.startswith(said)
    assert not any(stop in said for stop in stops)
    if not ends:
        assert said == text
    ids = [i for delta in given_out for i in delta.token_ids or ()]
    assert ids == list(range(len(ids)))
    assert strings.hidden == len(pieces) - len(ids)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["one", "\n", "\n", "two"], "one"),
        (["one\n", "\ntwo"], "one"),
        (["on", "e\n\ntwo"], "one"),
        (["one\n", "two\n"], "one\ntwo\n"),
        (["\n\n"], ""),
    ],
)
def test_by_example(pieces: list[str], expected: str) -> None:
    assert "".join(delta.text for delta in told(["\n\n"], pieces)[0]) == expected


def test_nothing_is_held_that_cannot_be_a_stop() -> None:
    strings = StopStrings(["END"])
    out: list[Any] = [
        [d.text for d in strings.push(TextDelta(text=t, token_ids=(1,)))] for t in "aENb"
    ]
    assert out == [["a"], [], [], ["E", "N", "b"]]
