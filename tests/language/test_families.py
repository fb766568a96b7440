"""Families of language models against transformers' own forward: right, or refused at load."""

from __future__ import annotations

import logging

import pytest
import torch
from transformers import PreTrainedModel

from anyweave.generation.engine import TokenEngine
from anyweave.language import CausalLM
from anyweave.language.packing import pack_rows
from anyweave.processing import SignalTokens
from anyweave.testing.language import byte_tokenizer, tiny_llama

from .families import FAMILIES, VOCABULARY, family

SIGNALS = SignalTokens({"image": 4, "video": 5, "audio": 3}, VOCABULARY)
REFUSED = {"falcon-h1": "given the embeddings of its tokens it computes something else"}
UNCACHED = {"mamba", "mamba2", "falcon-mamba", "recurrent-gemma", "jamba"}
# A state of their own, an attention of their own, or caps and sinks in it.
UNPACKED = UNCACHED | {
    *("bamba", "bloom", "deepseek-v3", "falcon", "gptj", "gpt-oss", "granite-hybrid", "lfm2"),
    *("gemma2", "qwen3-next"),
}
OFTEN = {"llama", "granite", "cohere", "gemma", "gemma2", "mamba", "granite-hybrid", "lfm2"}
RIGHT = [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow)
    for name in FAMILIES
    if name not in REFUSED
]


def loaded(model: PreTrainedModel) -> CausalLM:
    return CausalLM(model, byte_tokenizer(), num_signals=SIGNALS.total)


def ids_of(length: int) -> torch.Tensor:
    return torch.randint(0, 250, (1, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", RIGHT)
def test_logits_are_the_models_own(name: str) -> None:
    lm = loaded(family(name))
    head = lm.model.get_output_embeddings().weight
    with torch.no_grad():
        lm.signals.output_rows[0] = head[7]  # spoken like a word, it must be as likely as the word
        own = lm.model(ids_of(20)).logits[0]
        hidden, _ = lm(lm.embed(ids_of(20)))
        logits = lm.logits(hidden[0])
    torch.testing.assert_close(logits[:, :VOCABULARY], own, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(logits[:, VOCABULARY], own[:, 7], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RIGHT)
def test_signal_rows_start_among_the_words(name: str) -> None:
    lm = loaded(family(name))
    words = lm.model.get_input_embeddings()(torch.arange(VOCABULARY))
    signals = lm.embed(torch.tensor([SIGNALS.ids("video")]))[0]
    distance = (signals - words.mean(0)).norm(dim=-1) / words.norm(dim=-1).mean()
    assert bool(((distance > 0.05) & (distance < 0.2)).all()), distance


@pytest.mark.parametrize("name", RIGHT)
def test_feeding_in_pieces_and_taking_back_change_nothing(name: str) -> None:
    lm = loaded(family(name))
    ids = ids_of(40)[0].tolist()

    def engine(*, use_cache: bool) -> TokenEngine:
        return TokenEngine(lm, SIGNALS, stops=[(257,)], decode=lambda ids: "", use_cache=use_cache)

    whole = engine(use_cache=False).feed_ids(ids)
    chat = engine(use_cache=True)
    fed = [chat.feed_ids(piece) for piece in (ids[:25], ids[25:26], ids[26:])]
    torch.testing.assert_close(torch.cat(fed), whole, rtol=1e-4, atol=1e-4)
    kept = chat.keep(20)
    torch.testing.assert_close(chat.feed_ids(ids[kept:]), whole[kept:], rtol=1e-4, atol=1e-4)
    assert lm.feeding.cached == (name not in UNCACHED)


@pytest.mark.parametrize("name", RIGHT)
def test_padding_a_batch_changes_nothing(name: str) -> None:
    lm = loaded(family(name))
    embeds, mask = lm.embed(ids_of(13)), torch.ones(1, 13, dtype=torch.long)
    mask[:, 9:] = 0
    with torch.no_grad():
        alone, _ = lm(embeds[:, :9])
        padded, _ = lm(embeds, attention_mask=mask)
    torch.testing.assert_close(padded[:, :9], alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", RIGHT)
def test_rows_together_say_what_each_says_alone_or_are_not_packed(name: str) -> None:
    lm = loaded(family(name))
    packed = pack_rows(lm)
    assert (packed is None) == (name in UNPACKED)
    if packed is None:
        return
    embeds = lm.embed(ids_of(40))
    rows = [(embeds[:, :20], 12), (embeds[:, 20:], 3), (embeds[:, 5:25], 1)]
    whole = [lm(row)[0][0] for row, _ in rows]
    caches, starts = [lm.new_cache() for _ in rows], [0, 0, 0]
    ends = [prompt for _, prompt in rows]
    for new in ([1, 1, 1], [1, 4, 1], [6, 1, 12]):  # after the prompts; windows are of 8
        pieces = [row[:, a:b] for (row, _), a, b in zip(rows, starts, ends, strict=True)]
        found = packed.feed(pieces, caches, starts)
        for states, expected, a, b in zip(found, whole, starts, ends, strict=True):
            torch.testing.assert_close(states, expected[a:b], rtol=1e-4, atol=1e-4)
        starts, ends = ends, [end + length for end, length in zip(ends, new, strict=True)]


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[name]):
        loaded(family(name))


def test_a_model_without_a_cache_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        lm = loaded(family("mamba"))
    assert "MambaForCausalLM cannot continue from a key-value cache" in caplog.text
    with pytest.raises(ValueError, match="feed all positions every time, with use_cache=False"):
        lm(lm.embed(ids_of(3)), use_cache=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("name", "after", "cap"), [("llama", 1.0, None), ("granite", 1 / 7, None), ("gemma2", 1.0, 3.0)]
)
def test_half_precision_measures_the_same(
    name: str, after: float, cap: float | None, dtype: torch.dtype
) -> None:
    lm = loaded(family(name).to(dtype))
    assert lm.readout.after == pytest.approx(after, rel=1e-6)
    assert (lm.readout.before, lm.readout.cap) == (1.0, cap)
    assert lm.feeding.cached and lm.feeding.croppable


def changed(how: str) -> PreTrainedModel:
    """A Llama of a family that nobody knows: it does `how` between its states and its logits."""
    kind = type(tiny_llama())

    class Unknown(kind):  # type: ignore[valid-type, misc]
        def forward(self, input_ids: torch.Tensor, **keywords: object) -> object:
            output = self.model(input_ids=input_ids, **keywords)
            hidden = output.last_hidden_state
            if how == "divided before":
                hidden = hidden / 3
            if how == "normalised before":
                hidden = torch.nn.functional.normalize(hidden, dim=-1)
            if how == "another layer":
                hidden = torch.cat([hidden, hidden], 1)
            logits = self.lm_head(hidden)
            if how == "clamped":
                logits = logits.clamp(-5, 5)
            if how == "banned":
                logits = logits.index_fill(-1, torch.arange(4), float("-inf"))
            if how == "shifted":
                logits = logits + torch.arange(logits.shape[-1])
            if how == "scaled and capped":
                logits = 2 * torch.tanh(0.5 * logits / 2)
            output.logits = logits
            return output

    model = tiny_llama()
    model.__class__ = Unknown
    return model


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("normalised before", "it changes the last hidden state before the head"),
        ("another layer", "its head does not read the decoder's last hidden states"),
        ("clamped", "by neither a factor nor a tanh soft cap"),
        ("banned", "by neither a factor nor a tanh soft cap"),
        ("shifted", "by neither a factor nor a tanh soft cap"),
    ],
)
def test_an_unknown_change_is_refused(how: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown cannot be used: .*{reason}"):
        loaded(changed(how))


@pytest.mark.parametrize("how", ["divided before", "scaled and capped"])
def test_an_unknown_family_is_followed(how: str) -> None:
    lm = loaded(changed(how))
    with torch.no_grad():
        own = lm.model(ids_of(20)).logits[0]
        hidden, _ = lm(lm.embed(ids_of(20)))
        logits = lm.logits(hidden[0])[:, : own.shape[-1]]
    torch.testing.assert_close(logits, own, rtol=1e-5, atol=1e-5)


def test_a_word_bias_reaches_signal_rows_as_its_mean() -> None:
    model = family("phi")
    with torch.no_grad():
        model.lm_head.bias.copy_(torch.linspace(-9.0, -7.0, VOCABULARY))
    lm = loaded(model)
    hidden = torch.randn(3, 32)
    signal = lm.logits(hidden)[:, VOCABULARY:]
    torch.testing.assert_close(signal, hidden @ lm.signals.output_rows.T - 8.0)
