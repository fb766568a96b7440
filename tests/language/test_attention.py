"""Attention by groups is the plain one, for every family that looks attention up."""

from __future__ import annotations

import pytest
import torch

from anyweave.language import CausalLM, lora
from anyweave.language.attention import GROUPED, takes_grouped
from anyweave.language.replying import for_replies
from anyweave.testing.language import byte_tokenizer

from .families import family


@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "gpt-neox", "gpt-oss", "gemma2"])
def test_steps_of_one_token_are_those_of_plain_attention(name: str) -> None:
    lm = CausalLM(family(name), byte_tokenizer())
    target = "c_attn" if name == "gpt2" else "query_key_value" if name == "gpt-neox" else "q_proj"
    if name != "gpt2":  # its projections are no plain matrices, and it is used as it is
        lora.attach(lm, r=2, dropout=0.0, target_modules=(target,))
    view = for_replies(lm)
    if view is not lm:
        assert (view.model.config._attn_implementation == GROUPED) == takes_grouped(lm.model)
        assert lm.model.config._attn_implementation != GROUPED
    embeds = lm.embed(torch.arange(40)[None] * 6)
    caches, start = [lm.new_cache(), view.new_cache()], 0
    for end in (20, 21, 22, 26, 40):  # windows are of 8
        places = torch.arange(start, end)[None]
        with torch.inference_mode():
            plain, grouped = (
                one(embeds[:, start:end], past_key_values=cache, use_cache=True,
                    position_ids=places)[0]
                for one, cache in zip((lm, view), caches, strict=True)
            )  # fmt: skip
        torch.testing.assert_close(grouped, plain, rtol=1e-4, atol=1e-5)
        start = end


@pytest.mark.parametrize("kind", ["indexed_attention", "chunked_attention", "linear_attention"])
def test_families_that_choose_among_their_keys_keep_their_own_attention(kind: str) -> None:
    model = family("llama")
    assert takes_grouped(model)
    model.config.layer_types = ["full_attention", kind]
    model.config.attention_chunk_size = 8
    assert not takes_grouped(model)
