"""Runs of signal states put together from the words that others recalled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from anyweave.testing.model import tiny_model
from emoji_mini.parts.states import (
    SignalStates,
    WordStates,
    covering,
    recalls,
    shown,
    signal_states,
)

# Three runs of three states; the first two recall words 4 to 7, the last one nothing.
IDS = torch.tensor([[4, 5], [5, 6], [7, 4]])
HIDDEN = torch.arange(9.0).reshape(3, 3, 1)


def test_words_come_from_their_place_or_from_another_one() -> None:
    words = WordStates(HIDDEN, IDS)
    generator = torch.Generator().manual_seed(0)
    made = words.compose(torch.tensor([[4, 6], [6, 7]]), generator)
    assert made.shape == (2, 3, 1)
    assert made[0, :2, 0].tolist() == [0.0, 4.0]  # both words at their places
    assert made[1, :2, 0].tolist() == [4.0, 6.0]  # each only known from the other place
    assert set(made[:, 2, 0].tolist()) <= {2.0, 5.0, 8.0}


def test_every_run_that_said_a_word_is_drawn() -> None:
    words = WordStates(torch.arange(8.0).reshape(4, 2, 1), torch.tensor([[1], [2], [1], [1]]))
    drawn = words.compose(torch.ones(200, 1, dtype=torch.long), torch.Generator().manual_seed(0))
    assert set(drawn[:, 0, 0].tolist()) == {0.0, 4.0, 6.0}


def test_it_knows_what_was_never_said() -> None:
    words = WordStates(HIDDEN, IDS)
    assert words.knows(torch.tensor([[4, 5], [4, 8], [9, 9], [0, 4]])).tolist() == [
        *(True, False, False, False)
    ]


def test_states_that_recall_another_word_are_not_drawn() -> None:
    ids = torch.tensor([[1], [1], [2]])
    words = WordStates(torch.arange(6.0).reshape(3, 2, 1), ids, ids.new_tensor([[1], [0], [0]]) > 0)
    drawn = words.compose(torch.ones(50, 1, dtype=torch.long), torch.Generator().manual_seed(0))
    assert set(drawn[:, 0, 0].tolist()) == {0.0}
    assert words.knows(torch.tensor([[1], [2]])).tolist() == [True, False]


def test_a_state_recalls_the_word_that_the_head_reads_in_it() -> None:
    model = tiny_model()
    head = model.language.model.get_output_embeddings().weight.detach().float()
    ids = torch.tensor([[3, 5], [7, 3]])
    hidden = 100 * torch.nn.functional.normalize(head, dim=-1)[torch.tensor([[3, 7], [7, 3]])]
    assert recalls(model, hidden, ids).tolist() == [[True, False], [True, True]]


def test_words_that_are_hardly_said_are_shown() -> None:
    def spell(text: str, add_special_tokens: bool) -> Any:
        return SimpleNamespace(input_ids=[ord(letter) for letter in text])

    processor: Any = SimpleNamespace(tokenizer=spell)
    captions = ["a dog", "a dig", "a quiz", "a quiz", "a quiz", "a goat"]
    chosen = covering(processor, captions, 2, said=["a dog", "a dig", "dig", "two", "tow"])
    assert chosen == ["a quiz", "a quiz"]
    states = signal_states(tiny_model(), [shown("image", caption) for caption in chosen])
    assert states["image"].said() == ["a quiz", "a quiz"]


def test_runs_are_joined_by_caption() -> None:
    one = SignalStates(torch.zeros(2, 1, 1), torch.tensor([0, 1]), ("a", "b"), torch.ones(2, 1, 1))
    other = SignalStates(
        torch.ones(3, 1, 1), torch.tensor([1, 0, 1]), ("c", "b"), 2 * torch.ones(2, 1, 1)
    )
    both = one.joined(other)
    assert both.said() == ["a", "b", "b", "c", "b"]
    assert both.captions == ("a", "b", "c")
    assert both.wanted.flatten().tolist() == [1.0, 1.0, 2.0]
    assert both.hidden.flatten().tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]
