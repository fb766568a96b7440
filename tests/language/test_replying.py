"""Views for replies: the same words faster, and a model that never knows of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from anyweave.language import CausalLM, lora
from anyweave.language.int8 import MOST_ROWS, Int8Linear
from anyweave.language.replying import for_replies
from anyweave.testing.language import tiny_language_model

IDS = torch.tensor([[1, 2, 3, 4, 5, 6]])


def adapted(dtype: torch.dtype = torch.float32) -> CausalLM:
    lm = tiny_language_model(num_signals=3, dtype=dtype)
    lora.attach(lm, r=4, dropout=0.0, target_modules=("q_proj", "v_proj", "down_proj"))
    shake(lm)
    return lm


def shake(lm: CausalLM) -> None:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in lora.lora_parameters(lm).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def disable(lm: CausalLM) -> None:
    for layer in lora.lora_layers(lm):
        layer.enable_adapters(False)


@torch.no_grad()
def logits(lm: CausalLM, length: int = 6) -> torch.Tensor:
    return lm.logits(lm(lm.embed(IDS[:, :length]))[0])


def test_folded_adapters_say_the_same_without_their_wrappers() -> None:
    lm = adapted()
    view = for_replies(lm)
    torch.testing.assert_close(logits(view), logits(lm), atol=1e-4, rtol=1e-4)
    assert not lora.has_lora(view)
    assert lora.has_lora(lm)
    assert for_replies(lm) is view
    own = {id(p) for p in lm.parameters()}
    copies = [n for n, p in view.named_parameters() if id(p) not in own]
    assert len(copies) == 6  # all else is shared
    assert all(
        name.endswith(("q_proj.weight", "v_proj.weight", "down_proj.weight")) for name in copies
    )


def test_the_model_itself_is_untouched() -> None:
    lm, untouched = adapted(), adapted()
    with torch.inference_mode():
        view = for_replies(lm, quantization="int8")
        view(view.embed(IDS))
    assert list(lm.state_dict()) == list(untouched.state_dict())
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(tensor, lm.state_dict()[name]), name
    assert [n for n, _ in lm.named_modules()] == [n for n, _ in untouched.named_modules()]
    assert torch.equal(logits(lm), logits(untouched))


@pytest.mark.parametrize("change", ["step", "data", "load", "disabled", "dtype", "base"])
def test_a_view_that_is_out_of_date_is_made_again(change: str) -> None:
    lm = adapted()
    old = for_replies(lm)
    parameter = next(iter(lora.lora_parameters(lm).values()))
    if change == "step":
        parameter.requires_grad_(True)
        lm(lm.embed(IDS))[0].square().sum().backward()
        torch.optim.AdamW([parameter], lr=0.1, fused=True).step()
    elif change == "data":
        parameter.data.add_(0.3)
    elif change == "load":
        with torch.no_grad():
            for value in lora.lora_parameters(lm).values():
                value.copy_(value + 0.1)
    elif change == "disabled":
        disable(lm)
    elif change == "dtype":
        lm.to(torch.float64)
    else:
        with torch.no_grad():
            lm.model.model.layers[0].self_attn.q_proj.base_layer.weight.mul_(1.5)
    now = for_replies(lm)
    assert now is not old
    torch.testing.assert_close(logits(now), logits(lm), atol=1e-4, rtol=1e-4)
    if change != "dtype":  # half of the old one has another type now
        assert not torch.allclose(logits(old), logits(now), atol=1e-6)


def test_disabled_adapters_are_disabled_in_replies_too() -> None:
    lm = adapted()
    for_replies(lm)
    disable(lm)
    assert torch.equal(logits(for_replies(lm)), logits(lm))
    assert torch.equal(logits(lm), logits(tiny_language_model(num_signals=3)))


def test_nothing_to_replace_is_the_model_itself() -> None:
    lm = tiny_language_model()
    assert for_replies(lm) is lm
    lm = adapted()
    assert for_replies(lm, merge=False) is lm


def test_training_frees_the_copies_and_a_copy_makes_its_own() -> None:
    lm = adapted()
    view = for_replies(lm)
    assert copy.deepcopy(lm).view_for_replies is None
    lm.train()
    assert lm.view_for_replies is None
    lm.eval()
    torch.testing.assert_close(logits(for_replies(lm)), logits(view))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("bias", [True, False])
def test_8_bit_weights_are_near_and_long_inputs_exact(dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 96, bias=bias).to(dtype)
    small = Int8Linear(linear)
    with torch.no_grad():
        for shape in ((64,), (1, 1, 64), (2, MOST_ROWS // 2, 64)):
            inputs = torch.randn(shape).to(dtype)
            made, expected = small(inputs), linear(inputs)
            assert made.shape == expected.shape
            assert made.dtype == expected.dtype
            assert not torch.equal(made, expected)
            assert (made - expected).abs().max() < 0.03 * expected.abs().max()
        inputs = torch.randn(1, MOST_ROWS + 1, 64).to(dtype)
        assert torch.equal(small(inputs), linear(inputs))


def test_an_8_bit_view_reads_prompts_as_they_are_and_speaks_nearly_the_same() -> None:
    lm = adapted(torch.bfloat16)
    merged, view = for_replies(lm), for_replies(lm, quantization="int8")
    with torch.no_grad():
        long = [one(one.embed(IDS))[0] for one in (merged, view)]
        torch.testing.assert_close(*long)
        scores = [one.logits(long[0][0, -1]).float() for one in (merged, view)]
    assert not torch.equal(*scores)
    torch.testing.assert_close(*scores, atol=0.1, rtol=0.1)
    kinds = [type(m) for m in view.modules()]
    assert kinds.count(Int8Linear) == 2 * 7 + 1  # and the head


def test_8_bit_weights_are_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = adapted()
    monkeypatch.setattr(CausalLM, "device", property(lambda self: torch.device("cuda")))
    with pytest.raises(ValueError, match="is for CPUs, the language model is on cuda"):
        for_replies(lm, quantization="int8")
