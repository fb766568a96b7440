from __future__ import annotations

from pathlib import Path

import pytest
import torch

from anyweave.language import CausalLM, lora, quantization
from anyweave.language.replying import for_replies
from anyweave.testing.language import write_tiny_language_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_language_model(tmp_path, hidden_size=64)


def _base(lm: CausalLM) -> dict[str, torch.Tensor]:
    """Packed weights, quantisation constants and everything else that is not ours."""
    return {n: v.clone() for n, v in lm.model.state_dict().items() if "lora_" not in n}


def test_without_bitsandbytes_it_says_how_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "is_bitsandbytes_available", lambda: False)
    with pytest.raises(ValueError, match=r"needs bitsandbytes.*pip install 'anyweave\[qlora\]'"):
        CausalLM.from_pretrained(folder, quantization="nf4")


def test_8_bit_weights_are_an_option_of_replies(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"GenerationOptions\(quantization='int8'\)"):
        CausalLM.from_pretrained(folder, quantization="int8")


def test_unknown_quantization(folder: Path) -> None:
    with pytest.raises(ValueError, match="unknown quantization 'int3'; there is nf4"):
        CausalLM.from_pretrained(folder, quantization="int3")


def test_the_config_is_the_one_of_qlora(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantization, "is_bitsandbytes_available", lambda: True)
    config = quantization.quantization_config("nf4").to_dict()
    assert (config["load_in_4bit"], config["bnb_4bit_quant_type"]) == (True, "nf4")
    assert (config["bnb_4bit_use_double_quant"], config["bnb_4bit_compute_dtype"]) == (
        True,
        "bfloat16",
    )


def test_a_quantised_base_trains_adapters_and_stays_bit_identical(folder: Path) -> None:
    pytest.importorskip("bitsandbytes")
    lm = CausalLM.from_pretrained(folder, dtype="bfloat16", num_signals=3, quantization="nf4")
    lora.attach(lm, r=4)
    assert lm.model.model.layers[0].self_attn.q_proj.weight.dtype == torch.uint8
    assert lm.dtype == torch.bfloat16  # embedding and head are not quantised
    assert for_replies(lm) is lm  # 4-bit matrices would lose the adapters to rounding
    with pytest.raises(ValueError, match="needs the plain weights"):
        for_replies(lm, quantization="int8")
    lm.train()
    lm.enable_gradient_checkpointing()
    trained = [*lora.lora_parameters(lm).values(), *lm.signals.parameters()]
    for parameter in trained:
        parameter.requires_grad_(True)
    before, values = _base(lm), [p.detach().clone() for p in trained]
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    ids = torch.tensor([[1, 2, 264, 265, 3]])
    for _ in range(2):
        hidden, _ = lm(lm.embed(ids))
        logits = lm.logits(hidden[:, :-1]).float()
        torch.nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()
        optimizer.step()
    after = _base(lm)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all((p != v).any() for p, v in zip(trained, values, strict=True))
    assert {p.dtype for p in trained} == {torch.float32}
