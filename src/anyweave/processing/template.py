"""Chat templates: the control tokens around a turn.

Every segment (a turn's opening, each text part, the end of the turn, what follows it) is tokenised
on its own, so a conversation's ids are the concatenation of its turns' ids and appending a turn
never changes earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

from anyweave.messages import ROLES, Role


@dataclass(frozen=True)
class Turn:
    """Control strings of one role: ``prefix`` content ``end`` ``suffix``.

    `end` None is the tokenizer's end-of-sequence token. For the assistant, `end` is spoken by the
    model and supervised (generation stops when all of it has been said); `suffix` only separates
    turns.
    """

    prefix: str
    end: str | None
    suffix: str = ""


@dataclass(frozen=True)
class TurnIds:
    """A `Turn` as token ids."""

    prefix: tuple[int, ...]
    end: tuple[int, ...]
    suffix: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Template:
    """How a conversation is written.

    `bos`: begin with the tokenizer's begin-of-sequence token. `opening`: what every conversation
    begins with, after that token. `control`: tokens that must be single ids in the tokenizer.
    `around_media`: what stands before and after a user's medium. `stops`: other ways in which a
    model trained on this template ends its turn. `system_prompt`: said before every conversation
    that brings no system message of its own.
    """

    name: str
    turns: Mapping[Role, Turn]
    bos: bool = False
    opening: str = ""
    control: tuple[str, ...] = field(default=())
    around_media: tuple[str, str] = ("", "")
    stops: tuple[str, ...] = ()
    system_prompt: str | None = None

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> dict[Role, TurnIds]:
        """The ids of every role's control strings.

        Raises `ValueError` when the tokenizer lacks a control token, or when nothing ends the
        assistant's turn.
        """
        for token in self.control:
            if len(encode_control(tokenizer, token)) != 1:
                raise ValueError(
                    f"template {self.name!r} needs {token!r} as one token, but this tokenizer "
                    "splits it; "
                    f"choose another template: {', '.join(sorted(TEMPLATES))}"
                )
        bound: dict[Role, TurnIds] = {}
        for role in ROLES:
            turn = self.turns[role]
            end = self._eos(tokenizer) if turn.end is None else encode_control(tokenizer, turn.end)
            bound[role] = TurnIds(
                encode_control(tokenizer, turn.prefix), end, encode_control(tokenizer, turn.suffix)
            )
        if not bound["assistant"].end:
            raise ValueError(
                f"template {self.name!r}: the assistant's turn ends in nothing, so generation "
                "would never stop; give its Turn an `end`"
            )
        return bound

    def opening_ids(self, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
        """What every conversation begins with."""
        bos = self.bos and tokenizer.bos_token_id is not None
        first = (int(tokenizer.bos_token_id),) if bos else ()
        return first + encode_control(tokenizer, self.opening)

    def _eos(self, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
        if tokenizer.eos_token_id is None:
            raise ValueError(
                f"template {self.name!r} ends turns with the tokenizer's eos token, but it has "
                "none; "
                "set tokenizer.eos_token or use 'chatml'"
            )
        return (int(tokenizer.eos_token_id),)


def encode_control(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of a control string: special tokens in it are recognised.

    A string that begins with a line break continues what stands before it. Llama tokenizers put
    the mark of a new word before everything they are given on its own; here it is left out.
    """
    if not text:
        return ()

    def encode(string: str) -> tuple[int, ...]:
        ids = tokenizer(string, add_special_tokens=False, split_special_tokens=False).input_ids
        return tuple(int(i) for i in ids)

    if not text.startswith("\n"):
        return encode(text)
    before = encode("a")
    continued = encode(f"a{text}")
    return continued[len(before) :] if continued[: len(before)] == before else encode(text)


def encode_text(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of ordinary text: what looks like a special token in it is spelled out, never obeyed."""
    if not text:
        return ()
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    return tuple(int(i) for i in ids)


def _chatml_turn(role: Role) -> Turn:
    return Turn(f"<|im_start|>{role}\n", "<|im_end|>", "\n")


TEMPLATES: dict[str, Template] = {
    "chatml": Template(
        name="chatml",
        turns={role: _chatml_turn(role) for role in ROLES},
        control=("<|im_start|>", "<|im_end|>"),
    ),
    "vicuna": Template(
        name="vicuna",
        bos=True,
        turns={
            "system": Turn("", " "),
            "user": Turn("USER:", " "),
            "assistant": Turn("ASSISTANT:", None),
        },
    ),
    # What the released NExT-GPT checkpoint was trained on. The "###" that ends a reply also opens
    # the next turn, so only the first one needs it. Llama tokenizers write it in two tokens after a
    # line break and in one after a signal run, where the original's tokenizer dropped the break.
    "nextgpt-legacy": Template(
        name="nextgpt-legacy",
        bos=True,
        opening="###",
        control=("<Img>", "</Img>"),
        around_media=("<Img>", "</Img>"),
        stops=("###",),
        turns={
            "system": Turn("", "\n###"),
            "user": Turn("Human:", ""),
            "assistant": Turn("\n### Assistant:", "\n###"),
        },
    ),
    "plain": Template(
        name="plain",
        bos=True,
        turns={"system": Turn("", "\n"), "user": Turn("", "\n"), "assistant": Turn("", None)},
    ),
}


def resolve_template(template: Template | str) -> Template:
    """A template by value or by name. Raises `ValueError` listing the names."""
    if isinstance(template, Template):
        return template
    if template not in TEMPLATES:
        raise ValueError(f"unknown template {template!r}; there are {', '.join(sorted(TEMPLATES))}")
    return TEMPLATES[template]
