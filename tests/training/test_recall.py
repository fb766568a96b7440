"""The recall loss: the words of a caption stand in the states at signal tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from anyweave.model.any_to_any import NextGPT
from anyweave.testing.conversations import tiny_conversations
from anyweave.training.config import TrainConfig
from anyweave.training.recall import recall_losses, recall_places, recalled_ids
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer

MakeModel = Callable[..., NextGPT]
MakeConfig = Callable[..., TrainConfig]


def test_captions_stand_at_the_end_and_lose_their_beginning(new_model: MakeModel) -> None:
    processor = new_model().processor
    spoken = processor.tokenizer(" a cat", add_special_tokens=False).input_ids
    (filler,) = processor.tokenizer("\n", add_special_tokens=False).input_ids
    ids = recalled_ids(processor, ["a cat", ""], len(spoken) + 2)
    assert ids[0].tolist() == [filler, filler, *spoken]
    assert set(ids[1].tolist()) <= {filler, *spoken[:1]}  # nothing, or the space before it
    assert recalled_ids(processor, ["a cat"], 2).tolist() == [spoken[-2:]]
    assert recalled_ids(processor, [], 3).shape == (0, 3)
    assert [recall_places(length) for length in (1, 2, 8)] == [1, 1, 7]


def test_states_that_name_the_words_cost_nothing_whatever_signals_score(
    new_model: MakeModel,
) -> None:
    model = new_model()
    language, base_vocab = model.language, model.processor.signals.base_vocab
    wanted = torch.tensor([[3, 5], [7, 3]])
    # Least squares: scores of nearly 50 for the word and 0 for the others.
    head = language.model.get_output_embeddings().weight.float()
    scores = 50.0 * torch.eye(len(head))[wanted]
    states = (scores.flatten(0, 1) @ torch.linalg.pinv(head).T).view(2, 2, -1)
    states = torch.cat([states, torch.randn(2, 1, states.shape[-1])], 1)  # the last says no word
    with torch.no_grad():
        losses = recall_losses(language, states, wanted, base_vocab)
        others = recall_losses(language, states, wanted.flip(0), base_vocab)
        language.signals.output_rows.fill_(100.0)
        again = recall_losses(language, states, wanted, base_vocab)
    assert losses.shape == (2, 2)
    assert (losses < others).all()
    torch.testing.assert_close(again, losses)


def test_a_run_learns_to_recall_whatever_its_micro_batches(
    plain_model: MakeModel, config: MakeConfig
) -> None:
    def trained(run: str, **changes: Any) -> list[dict[str, float]]:
        made = config("decoding_alignment", run=run, steps=20, **changes)
        made = replace(made, stage=replace(made.stage, losses={"lm": 1.0, "recall": 1.0}))
        Trainer(plain_model(), made, tiny_conversations()[:4]).train()
        return [row["losses"] for row in read_log(f"{made.output_dir}/log.jsonl")]

    order = {"shuffle": False}
    whole = trained("whole", data={"batch_size": 4, **order})
    parts = trained("parts", grad_accumulation=4, data={"batch_size": 1, **order})
    for one, other in zip(whole[:2], parts[:2], strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    recalled = [name for name in whole[0] if name.startswith("recall/")]
    assert recalled
    for name in recalled:
        assert whole[-1][name] < 0.8 * whole[0][name]
