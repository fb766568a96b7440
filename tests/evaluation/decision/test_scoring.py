"""Counts that are known by hand."""

from __future__ import annotations

import pytest

from anyweave.evaluation.decision import Answer, Request, score
from anyweave.messages import Message


def request(id: str, *wanted: str) -> Request:
    return Request(
        id=id,
        split="test",
        kind="direct",
        wanted=wanted,
        messages=(Message("user", "x"),),
    )


REQUESTS = [
    request("words"),
    request("more words"),
    request("picture", "image"),
    request("missed", "image"),
    request("sound", "audio"),
    request("both", "image", "audio"),
    request("turned", "image", "audio"),
    request("apart", "image", "audio"),
    request("twice", "image", "image"),
]
ANSWERS = {
    "words": Answer(given=()),
    "more words": Answer(given=("image",)),
    "picture": Answer(given=("image",)),
    "missed": Answer(given=()),
    "sound": Answer(given=("video",)),
    "both": Answer(given=("image", "audio")),
    "turned": Answer(given=("audio", "image")),
    "apart": Answer(given=("image", "audio"), ordered=False),
    "twice": Answer(given=("image",)),
}


def test_figures() -> None:
    report = score("toy", REQUESTS, ANSWERS)
    image = report.media["image"]
    # Wanted in 6, given in 6, both in 5.
    assert image["precision"].value == image["recall"].value == 5 / 6
    assert image["f1"].value == pytest.approx(5 / 6)
    assert (image["precision"].trials, image["f1"].trials) == (6, 9)
    assert report.media["audio"]["recall"].value == 3 / 4
    assert report.media["video"]["recall"].value is None  # wanted by nobody
    assert report.media["any"]["precision"].value == 6 / 7
    shares = list(report.shares.values())
    assert [share.value for share in shares] == [3 / 9, 1 / 2, 5 / 7, 4 / 7, 1 / 3]
    assert shares[-1].trials == 3  # whose order is told
    assert report.order_untold == 1 and "1 replies do not tell" in report.to_markdown()
    assert report.groups["several"].value == 1 / 4 and report.groups["video"].trials == 0
    low, high = image["precision"].interval or (0, 0)
    assert low == pytest.approx(0.4365, abs=1e-3) and high == pytest.approx(0.9699, abs=1e-3)


def test_a_missing_answer_is_no_zero() -> None:
    with pytest.raises(ValueError, match="1 of 9 requests have no answer: twice"):
        score("toy", REQUESTS, {k: v for k, v in ANSWERS.items() if k != "twice"})
