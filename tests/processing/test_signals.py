from __future__ import annotations

import pytest

from anyweave.processing import SignalTokens

SIGNALS = SignalTokens({"audio": 3, "image": 4, "video": 6}, base_vocab=100)


def test_ids_are_contiguous_in_order_image_video_audio() -> None:
    assert SIGNALS.ids("image") == (100, 101, 102, 103)
    assert SIGNALS.ids("video") == tuple(range(104, 110))
    assert SIGNALS.ids("audio") == (110, 111, 112)
    assert SIGNALS.total == 13
    assert [SIGNALS.placeholder(m) for m in ("image", "video", "audio")] == [113, 114, 115]


def test_modality_of_knows_signals_only() -> None:
    assert [SIGNALS.modality_of(i) for i in (99, 100, 104, 112, 113)] == [
        None,
        "image",
        "video",
        "audio",
        None,
    ]
    assert SIGNALS.is_placeholder(113) and not SIGNALS.is_placeholder(116)


def test_names() -> None:
    assert SIGNALS.token(100) == "[IMG0]"
    assert SIGNALS.token(109) == "[VID5]"
    assert SIGNALS.token(115) == "<audio>"
    with pytest.raises(ValueError, match="neither a signal nor a placeholder"):
        SIGNALS.token(99)


def test_a_modality_without_tokens_cannot_be_generated() -> None:
    signals = SignalTokens({"image": 1}, base_vocab=10)
    assert signals.modalities == ("image",)
    with pytest.raises(ValueError, match="cannot generate audio.*it generates image"):
        signals.first("audio")


@pytest.mark.parametrize(
    ("counts", "base", "message"),
    [
        ({"smell": 1}, 10, "unknown modality 'smell'"),
        ({"image": -1}, 10, "image has -1"),
        ({"image": 1}, 0, "base_vocab is 0"),
    ],
)
def test_wrong_arguments(counts: dict, base: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SignalTokens(counts, base)
