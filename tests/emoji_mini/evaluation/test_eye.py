"""Judge against eye: what counts as agreement."""

from __future__ import annotations

from typing import Any

import pytest

from emoji_mini.evaluation.eye import agreement

JUDGE: dict[str, dict[str, Any]] = {
    "0": {"caption": "a cat", "facts": {"object": True, "count": True}},
    "1": {"caption": "two cats", "facts": {"object": True, "count": False}},
    "2": {"caption": "a dog", "facts": {"object": False, "count": False}},
}


def test_what_is_no_such_thing_is_not_counted_either() -> None:
    same, right = agreement(JUDGE, "0 object\n1 count\n2 object\n")
    facts = ("object", "count", "all")
    assert same == [dict.fromkeys(facts, agreed) for agreed in (False, True, True)]
    assert [one["all"] for one in right] == [True, False, False]


@pytest.mark.parametrize("eye", ["0\n1\n", "0\n1\n2\n3\n", "0\n1\n2 colour\n"])
def test_a_picture_left_out_or_unknown_is_told(eye: str) -> None:
    with pytest.raises(ValueError, match="picture"):
        agreement(JUDGE, eye)
