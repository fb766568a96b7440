"""One token from logits: masks, greedy choice, nucleus and penalty."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from anyweave.generation.sampling import sample_token

LOGITS = torch.tensor([1.0, 3.0, 2.0, 2.9])
EVERYTHING = torch.ones(4, dtype=torch.bool)


def draw_options(**changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "allowed": EVERYTHING,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "said": (),
        "generator": torch.Generator().manual_seed(0),
    }
    return options | changes


def draw(count: int = 1, **changes: Any) -> list[int]:
    options = draw_options(**changes)
    return [sample_token(LOGITS, **options) for _ in range(count)]


def test_greedy_takes_the_likeliest_allowed() -> None:
    assert draw(temperature=0) == [1]
    assert draw(temperature=0, allowed=torch.tensor([True, False, True, True])) == [3]


def test_a_temperature_close_to_0_is_greedy() -> None:
    assert draw(5, temperature=1e-40) == [1] * 5
    assert draw(5, temperature=1e-40, top_k=2, top_p=0.9) == [1] * 5
    assert draw(5, temperature=1e-300) == [1] * 5  # 0 in float32


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


@pytest.mark.parametrize("sharpness", [0.1, 2.0, 9.0])
@pytest.mark.parametrize(("top_k", "top_p"), [(7, 1.0), (0, 0.6), (7, 0.6), (1, 1.0), (500, 0.9)])
def test_a_seed_says_what_the_plain_definition_says(
    top_k: int, top_p: float, sharpness: float
) -> None:
    """Against the definition over all ids, token for token; flat logits need more than a few."""
    logits = torch.randn(900, generator=torch.Generator().manual_seed(1)) * sharpness
    options = draw_options(allowed=torch.ones(900, dtype=torch.bool), top_k=top_k, top_p=top_p)
    got = [sample_token(logits, **options) for _ in range(100)]
    generator = torch.Generator().manual_seed(0)
    ranked = logits.sort(descending=True)
    kept = torch.full_like(logits, -torch.inf)
    kept[ranked.indices[: top_k or None]] = ranked.values[: top_k or None]
    chances = kept.softmax(-1).sort(descending=True)
    nucleus = (chances.values.cumsum(-1) - chances.values) < top_p
    chosen = torch.zeros_like(logits).scatter(0, chances.indices, chances.values * nucleus)
    assert got == [int(torch.multinomial(chosen, 1, generator=generator)) for _ in range(100)]
