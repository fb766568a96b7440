from __future__ import annotations

import pytest
import torch

from anyweave.language import CausalLM, lora
from anyweave.testing.language import tiny_language_model

IDS = torch.tensor([[1, 2, 3, 4]])


def adapted(**changes: object) -> CausalLM:
    lm = tiny_language_model()
    lora.attach(lm, **{"r": 4, "dropout": 0.0, **changes})  # type: ignore[arg-type]
    return lm


def states(lm: CausalLM) -> torch.Tensor:
    with torch.no_grad():
        return lm(lm.embed(IDS))[0]


def shake(lm: CausalLM) -> None:
    with torch.no_grad():
        for parameter in lora.lora_parameters(lm).values():
            parameter.add_(0.1 * torch.randn(parameter.shape))


def test_fresh_adapters_change_nothing() -> None:
    assert torch.equal(states(adapted()), states(tiny_language_model()))


def test_names_sizes_and_frozen_start() -> None:
    lm = adapted(target_modules=("q_proj", "down_proj"))
    found = lora.lora_parameters(lm)
    assert set(found) == {
        f"model.layers.{layer}.{module}.{matrix}"
        for layer in range(2)
        for module in ("self_attn.q_proj", "mlp.down_proj")
        for matrix in ("lora_A", "lora_B")
    }
    assert found["model.layers.0.mlp.down_proj.lora_A"].shape == (4, 64)
    assert not any(p.requires_grad for p in found.values())


def test_same_seed_same_adapters() -> None:
    one, two, other = (lora.lora_parameters(adapted(seed=seed)) for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="'query' names no linear layer; there are down_proj"):
        adapted(target_modules=("query",))
    with pytest.raises(ValueError, match="r is 0"):
        adapted(r=0)
    lm = adapted()
    with pytest.raises(ValueError, match="already has LoRA"):
        lora.attach(lm)


def test_blank_adapters_wait_for_their_values() -> None:
    state = torch.random.get_rng_state()
    lm = adapted(blank=True)
    assert torch.equal(state, torch.random.get_rng_state())
    assert lora.lora_parameters(lm).keys() == lora.lora_parameters(adapted()).keys()
