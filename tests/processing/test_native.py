"""A model's own chat template, in the shapes of several families, against what Jinja writes."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from anyweave.language.byte_tokenizer import byte_tokenizer
from anyweave.messages import Message, Role
from anyweave.processing import Processor, SignalTokens
from anyweave.processing.native import native_template
from anyweave.testing.language import word_mark_tokenizer

_CHATML = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}\nOVER<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>{% endif %}\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HEADERS = (
    "{{ bos_token }}{% for m in messages %}<|head|>{{ m.role }}<|/head|>\n\n"
    "{{ m.content | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|/head|>\n\n{% endif %}"
)
_NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}"
    "{% endif %}{% for m in messages %}<turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n"
    "{{ m.content | trim }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
_INSTRUCTIONS = (
    "{% set s = '' %}{% if messages[0].role == 'system' %}"
    "{% set s = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ bos_token }}[INST] {{ s if loop.first else '' }}{{ m.content }}"
    " [/INST]{% else %} {{ m.content }} {{ eos_token }}{% endif %}{% endfor %}"
)
_ROLE_LINES = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
FAMILIES = {
    "chatml": _CHATML,
    "generation marked": _MARKED,
    "headers": _HEADERS,
    "no system": _NO_SYSTEM,
    "instructions": _INSTRUCTIONS,
    "role lines": _ROLE_LINES,
}
SPECIAL = ["<|head|>", "<|/head|>", "<|eot|>", "<turn>", "</turn>"]
TALK: list[tuple[Role, str]] = [
    ("user", "Hello there"),
    ("assistant", "Hi!"),
    ("user", "Again"),
    ("assistant", "Yes?"),
]


def tokenizer_of(template: str, *, words: bool = False) -> PreTrainedTokenizerBase:
    tokenizer: Any = word_mark_tokenizer() if words else byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    tokenizer.chat_template = template
    return tokenizer


def processor_of(template: str, **options: Any) -> Processor:
    tokenizer = tokenizer_of(template)
    return Processor(tokenizer, SignalTokens({}, len(tokenizer)), "native", {}, {}, **options)


def written(processor: Processor, talk: list[tuple[Role, str]], prompt: bool = False) -> Any:
    return processor.tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in talk],
        add_generation_prompt=prompt,
        tokenize=False,
    )


def said(processor: Processor, talk: list[tuple[Role, str]], **options: Any) -> tuple[str, str]:
    """What is rendered, and what of it is learnt."""
    sample = processor.render([Message(role, text) for role, text in talk], **options)
    decode = processor.tokenizer.decode
    return decode(sample.input_ids), decode(sample.labels[sample.labels >= 0])


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("system", [[], [("system", "Be brief.")]])
def test_conversations_are_written_as_the_template_writes_them(name: str, system: Any) -> None:
    processor = processor_of(FAMILIES[name])
    for length in (1, 2, 3, 4):
        talk = [*system, *TALK[:length]]
        if system and name == "no system":
            merged = [("user", f"Be brief.\n\n{TALK[0][1]}"), *TALK[1:length]]
            assert said(processor, talk)[0] == written(processor, merged)
            continue
        assert said(processor, talk)[0] == written(processor, talk)
        if talk[-1][0] == "user":
            asked = said(processor, talk, add_generation_prompt=True)[0]
            # A space that the template writes with a reply's words is here before them.
            assert asked.rstrip(" ") == written(processor, talk, prompt=True)


@pytest.mark.parametrize(
    ("name", "learnt"),
    [
        ("chatml", "Hi!<|im_end|>Yes?<|im_end|>"),
        ("generation marked", "Hi!\nOVER<|im_end|>Yes?\nOVER<|im_end|>"),
        ("headers", "Hi!<|eot|>Yes?<|eot|>"),
        ("no system", "Hi!</turn>Yes?</turn>"),
        ("role lines", "Hi!<|im_end|>Yes?<|im_end|>"),  # the byte tokenizer's eos
    ],
)
def test_only_what_the_assistant_says_is_learnt(name: str, learnt: str) -> None:
    assert said(processor_of(FAMILIES[name]), TALK)[1] == learnt


def test_the_masks_are_those_of_generation_blocks() -> None:
    processor = processor_of(_MARKED)
    made = processor.tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in TALK],
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    sample = processor.render([Message(role, text) for role, text in TALK])
    assert sample.input_ids.tolist() == made["input_ids"]
    assert (sample.labels >= 0).int().tolist() == made["assistant_masks"]


def test_word_marks_come_out_as_when_all_is_tokenised_at_once() -> None:
    tokenizer = tokenizer_of(_INSTRUCTIONS, words=True)
    processor = Processor(tokenizer, SignalTokens({}, len(tokenizer)), "native", {}, {})
    talk: list[tuple[Role, str]] = [("user", "a b"), ("assistant", "b a"), ("user", "a")]
    whole = processor.tokenizer(written(processor, talk), add_special_tokens=False).input_ids
    sample = processor.render([Message(role, text) for role, text in talk])
    assert sample.input_ids.tolist() == list(whole)


def test_a_template_without_system_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        native_template(tokenizer_of(_NO_SYSTEM))
    assert "no place for a system message" in caplog.text


def test_a_system_prompt_of_the_spec_replaces_the_templates_own() -> None:
    text = said(processor_of(_CHATML, system_prompt="Rhyme."), TALK)[0]
    assert text.startswith("<|im_start|>system\nRhyme.<|im_end|>\n<|im_start|>user")


def test_another_template_is_another_name() -> None:
    names = {native_template(tokenizer_of(text)).name for text in FAMILIES.values()}
    assert len(names) == len(FAMILIES)


_EARLIER_CHANGES = (
    "{% for m in messages %}{{ m.role }}:{% if loop.last and m.role == 'assistant' %}<think>"
    "{% endif %}{{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (None, "has no chat_template"),
        (_EARLIER_CHANGES, "written otherwise when another turn follows"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "special token"),
        ("{% for m in messages %}{{ m.content[:2] }}<|im_end|>{% endfor %}", "0 times"),
        ("{% for m in messages %}{{ m.content + 1 }}{% endfor %}", "does not write a plain"),
        ("{% for m in messages %}{{ loop.index }}{{ m.content }}</s>{% endfor %}", "depends on"),
    ],
)
def test_a_template_that_does_not_hold_is_refused(template: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        native_template(tokenizer_of(template))
    assert "chatml, nextgpt-legacy, plain, vicuna" in str(caught.value)
