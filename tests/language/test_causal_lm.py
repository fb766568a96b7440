from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from anyweave.language import CausalLM, lora
from anyweave.testing.language import (
    byte_tokenizer,
    tiny_language_model,
    write_tiny_language_model,
)

SIGNALS = 7


def base_state(lm: CausalLM) -> dict[str, torch.Tensor]:
    """Base weights by name, adapters and the wrapping that they bring left out."""
    return {
        name.replace(".base_layer", ""): value.clone()
        for name, value in lm.model.state_dict().items()
        if "lora_" not in name
    }


def test_sizes_come_from_the_matrix_not_the_tokenizer() -> None:
    lm = tiny_language_model(num_signals=SIGNALS)
    assert lm.base_vocab_size == 264 > len(lm.tokenizer)
    assert (lm.hidden_size, lm.num_signals) == (32, SIGNALS)
    assert lm.eos_ids == (257,)


def test_embed_reads_three_kinds_of_ids() -> None:
    lm = tiny_language_model(num_signals=SIGNALS)
    ids = torch.tensor([[5, 264, 270, 271, 273]])
    embedded = lm.embed(ids)[0]
    assert torch.equal(embedded[0], lm.model.get_input_embeddings().weight[5])
    assert torch.equal(embedded[1], lm.signals.input_rows[0])
    assert torch.equal(embedded[2], lm.signals.input_rows[6])
    assert not embedded[3:].any()


def test_without_signals_it_is_the_plain_model() -> None:
    lm = tiny_language_model()
    ids = torch.randint(0, 256, (2, 9))
    hidden, _ = lm(lm.embed(ids))
    assert torch.allclose(lm.logits(hidden), lm.model(ids).logits, atol=1e-5)
    reference = lm.model(ids, output_hidden_states=True).hidden_states[-1]
    assert torch.allclose(hidden, reference, atol=1e-6)


def test_logits_append_the_signal_head() -> None:
    lm = tiny_language_model(num_signals=SIGNALS)
    hidden = torch.randn(4, 32)
    logits = lm.logits(hidden)
    assert logits.shape == (4, 264 + SIGNALS)
    assert torch.allclose(logits[:, 264:], hidden @ lm.signals.output_rows.T)


def test_fresh_rows_are_near_the_mean_and_differ() -> None:
    lm = tiny_language_model(num_signals=SIGNALS)
    weight = lm.model.get_input_embeddings().weight
    difference = lm.signals.input_rows - weight.mean(0)
    assert 0 < difference.abs().max() < weight.std()
    assert torch.cdist(lm.signals.input_rows, lm.signals.input_rows).add(torch.eye(7)).min() > 0
    again = tiny_language_model(num_signals=SIGNALS)
    assert torch.equal(again.signals.output_rows, lm.signals.output_rows)


@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_on_either_side_changes_nothing(side: str) -> None:
    lm = tiny_language_model()
    ids = torch.randint(0, 256, (1, 6))
    alone, _ = lm(lm.embed(ids))
    pad = torch.full((1, 3), 258)
    ones, zeros = torch.ones(1, 6, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long)
    pair = ([ids, pad], [ones, zeros]) if side == "right" else ([pad, ids], [zeros, ones])
    padded, _ = lm(lm.embed(torch.cat(pair[0], 1)), torch.cat(pair[1], 1))
    kept = padded[:, :6] if side == "right" else padded[:, 3:]
    assert torch.allclose(kept, alone, atol=1e-5)


def test_the_key_value_cache_changes_nothing() -> None:
    lm = tiny_language_model(num_signals=SIGNALS)
    ids = torch.randint(0, 264 + SIGNALS, (2, 10))
    whole, nothing = lm(lm.embed(ids))
    assert nothing is None
    pieces, past = [], None
    for span in (slice(0, 4), slice(4, 5), slice(5, 10)):
        hidden, past = lm(lm.embed(ids[:, span]), past_key_values=past, use_cache=True)
        pieces.append(hidden)
    assert torch.allclose(torch.cat(pieces, 1), whole, atol=1e-5)


def test_the_cache_continues_a_right_padded_batch() -> None:
    lm = tiny_language_model()
    ids = torch.randint(0, 256, (2, 6))
    mask = torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    _, past = lm(lm.embed(ids), mask, use_cache=True)
    step = torch.tensor([[7], [8]])
    mask = torch.cat([mask, torch.ones(2, 1, dtype=torch.long)], 1)
    hidden, _ = lm(lm.embed(step), mask, past_key_values=past, use_cache=True)
    for row, length in enumerate((6, 4)):
        alone, _ = lm(lm.embed(torch.cat([ids[row : row + 1, :length], step[row : row + 1]], 1)))
        assert torch.allclose(hidden[row, -1], alone[0, -1], atol=1e-5)


def train_step(lm: CausalLM) -> None:
    parameters = [p for p in lm.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    ids = torch.tensor([[1, 2, 264, 265, 3]])
    hidden, _ = lm(lm.embed(ids))
    logits = lm.logits(hidden[:, :-1]).float()
    torch.nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()
    optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_trains_the_rows_and_adapters_alone(dtype: torch.dtype, checkpointing: bool) -> None:
    lm = tiny_language_model(num_signals=SIGNALS, dtype=dtype)
    lora.attach(lm, r=4)
    lm.train()
    if checkpointing:
        lm.enable_gradient_checkpointing()
    for parameter in lora.lora_parameters(lm).values():
        parameter.requires_grad_(True)
    before = base_state(lm)
    rows = lm.signals.input_rows.detach().clone()
    adapters = {name: value.clone() for name, value in lora.lora_parameters(lm).items()}
    train_step(lm)
    after = base_state(lm)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert lm.signals.input_rows.dtype == torch.float32
    moved = (lm.signals.input_rows != rows).any(-1)
    assert moved.tolist() == [True, True] + [False] * 5
    changed = [
        name for name, value in lora.lora_parameters(lm).items() if (value != adapters[name]).any()
    ]
    assert changed and all(name.endswith("lora_B") for name in changed)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    gradients = []
    for enabled in (False, True):
        lm = tiny_language_model(num_signals=SIGNALS)
        lm.train()
        lm.enable_gradient_checkpointing(enabled)
        train_step(lm)
        gradient = lm.signals.input_rows.grad
        assert gradient is not None
        gradients.append(gradient)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_frozen_parts_stay_in_eval_mode() -> None:
    lm = tiny_language_model(num_signals=2)
    lora.attach(lm, r=2, dropout=0.5)
    lm.train()
    training = {name for name, m in lm.named_modules() if m.training}
    assert lm.signals.training
    assert all("proj" in name for name in training - {"", "signals"})
    assert any(name.endswith("q_proj.lora_dropout.default") for name in training)
    lm.eval()
    assert not any(m.training for m in lm.modules())


def test_bfloat16_base_keeps_trained_parameters_in_float32() -> None:
    lm = tiny_language_model(num_signals=2, dtype=torch.bfloat16)
    lora.attach(lm, r=2)
    hidden, _ = lm(lm.embed(torch.tensor([[1, 264]])))
    assert hidden.dtype == lm.logits(hidden).dtype == torch.bfloat16
    assert {p.dtype for p in lora.lora_parameters(lm).values()} == {torch.float32}


def test_a_folder_loads_to_the_same_model(tmp_path: Path) -> None:
    write_tiny_language_model(tmp_path, seed=3)
    loaded = CausalLM.from_pretrained(tmp_path, num_signals=2, seed=3)
    made = tiny_language_model(num_signals=2, seed=3)
    ids = torch.tensor([[1, 2, 264]])
    assert torch.allclose(loaded(loaded.embed(ids))[0], made(made.embed(ids))[0].to(loaded.dtype))
    assert len(loaded.tokenizer) == len(made.tokenizer)
    assert CausalLM.from_pretrained(tmp_path, dtype="bfloat16").dtype == torch.bfloat16


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="(?s)cannot load a language model from .*smollm2-135m-inst"
    ):
        CausalLM.from_pretrained(tmp_path)


def test_a_head_of_another_shape_is_refused() -> None:
    config = LlamaConfig(
        vocab_size=264, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.lm_head = torch.nn.Linear(8, 300, bias=False)
    with pytest.raises(ValueError, match="no output head of the embedding's shape"):
        CausalLM(model, byte_tokenizer())
