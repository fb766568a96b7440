"""One token from logits: masks, greedy choice, nucleus and penalty."""

from __future__ import annotations

from typing import Any

import torch

from anyweave.generation.sampling import sample_token

LOGITS = torch.tensor([1.0, 3.0, 2.0, 2.9])
EVERYTHING = torch.ones(4, dtype=torch.bool)


def draw(count: int = 1, **changes: Any) -> list[int]:
    options: dict[str, Any] = {
        "allowed": EVERYTHING,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "said": (),
        "generator": torch.Generator().manual_seed(0),
    }
    options |= changes
    return [sample_token(LOGITS, **options) for _ in range(count)]


def test_greedy_takes_the_likeliest_allowed() -> None:
    assert draw(temperature=0) == [1]
    assert draw(temperature=0, allowed=torch.tensor([True, False, True, True])) == [3]


def test_forbidden_ids_never_come() -> None:
    allowed = torch.tensor([True, False, False, True])
    assert set(draw(200, allowed=allowed, temperature=5.0)) == {0, 3}


def test_top_k_and_top_p() -> None:
    assert set(draw(200, top_k=2, temperature=3.0)) == {1, 3}
    assert set(draw(50, top_p=0.0)) == {1}
    # Probabilities of 1, 3, 2, 0 are about .42, .38, .15, .06: two reach 0.5.
    assert set(draw(200, top_p=0.5)) == {1, 3}


def test_frequencies_follow_the_logits() -> None:
    found = torch.bincount(torch.tensor(draw(4000)), minlength=4) / 4000
    torch.testing.assert_close(found, LOGITS.softmax(-1), atol=0.03, rtol=0)


def test_repetition_penalty_moves_what_was_said() -> None:
    assert draw(temperature=0, repetition_penalty=2.0, said=[1]) == [3]
    assert draw(temperature=0, repetition_penalty=2.0, said=[1, 3, 1]) == [2]


def test_same_seed_same_tokens() -> None:
    assert draw(50) == draw(50)
