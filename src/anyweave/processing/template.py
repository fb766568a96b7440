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
class BoundTemplate:
    """A `Template` as token ids of one tokenizer, immutable.

    `stops` are all runs of ids at which generation stops: the end of the assistant's turn, the
    template's other endings and the tokenizer's end of sequence.
    """

    turns: Mapping[Role, TurnIds]
    opening: tuple[int, ...]
    opening_with_system: tuple[int, ...]
    system_opens_user: bool
    before_first_text: tuple[int, ...]
    around_media: tuple[tuple[int, ...], tuple[int, ...]]
    stops: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Template:
    """How a conversation is written.

    `bos`: begin with the tokenizer's begin-of-sequence token. `opening`: what every conversation
    begins with, after that token, and `opening_with_system` what begins one with a system message
    where that differs. `system_opens_user`: after a system message, the first user's turn has no
    prefix. `control`: tokens that must be single ids in the tokenizer. `around_media`: what comes
    before and after a user's medium. `before_first_text`: what comes before the text that the first
    user turn begins with. `own_spaces`: a space at the end of a control string is a token of its
    own (see `encode_control`). `stops`: other ways in which a model trained on this template ends
    its turn. `system_prompt`: said before every conversation without a system message of its own.
    """

    name: str
    turns: Mapping[Role, Turn]
    bos: bool = False
    opening: str = ""
    opening_with_system: str | None = None
    system_opens_user: bool = False
    control: tuple[str, ...] = field(default=())
    around_media: tuple[str, str] = ("", "")
    before_first_text: str = ""
    own_spaces: bool = False
    stops: tuple[str, ...] = ()
    system_prompt: str | None = None

    def bind(self, tokenizer: PreTrainedTokenizerBase) -> BoundTemplate:
        """All control strings as ids, encoded once: every call tells the tokenizer whether special
        tokens count, which threads that share it must not do at the same time.

        Raises `ValueError` if the tokenizer lacks a control token, or if nothing ends the
        assistant's turn.
        """

        def ids(text: str) -> tuple[int, ...]:
            return encode_control(tokenizer, text, own_spaces=self.own_spaces)

        for token in self.control:
            if len(ids(token)) != 1:
                raise ValueError(
                    f"template {self.name!r} needs {token!r} as one token, but this tokenizer "
                    "splits it; "
                    f"choose another template: {', '.join(sorted(TEMPLATES))}"
                )
        eos = () if tokenizer.eos_token_id is None else (int(tokenizer.eos_token_id),)
        if not eos and any(turn.end is None for turn in self.turns.values()):
            raise ValueError(
                f"template {self.name!r} ends turns with the tokenizer's eos token, but it has "
                "none; "
                "set tokenizer.eos_token or use 'chatml'"
            )
        turns = {
            role: TurnIds(
                ids(turn.prefix), eos if turn.end is None else ids(turn.end), ids(turn.suffix)
            )
            for role, turn in ((role, self.turns[role]) for role in ROLES)
        }
        end = turns["assistant"].end
        if not end:
            raise ValueError(
                f"template {self.name!r}: the assistant's turn ends in nothing, so generation "
                "would never stop; give its Turn an `end`"
            )
        bos = self.bos and tokenizer.bos_token_id is not None
        first = (int(tokenizer.bos_token_id),) if bos else ()
        before, after = self.around_media
        stops = (end, *map(ids, self.stops), eos)
        other = self.opening if self.opening_with_system is None else self.opening_with_system
        return BoundTemplate(
            turns=turns,
            opening=first + ids(self.opening),
            opening_with_system=first + ids(other),
            system_opens_user=self.system_opens_user,
            before_first_text=ids(self.before_first_text),
            around_media=(ids(before), ids(after)),
            stops=tuple(dict.fromkeys(stop for stop in stops if stop)),
        )


def encode_control(
    tokenizer: PreTrainedTokenizerBase, text: str, *, own_spaces: bool = False
) -> tuple[int, ...]:
    """Ids of a control string: special tokens in it are recognised.

    Llama tokenizers put the mark of a new word, a space, before every string that they are given.
    So a string that begins with a line break or a space is encoded as a continuation of what comes
    before it, and a space at its end is left out, as what follows brings it along; with
    `own_spaces` it is a token of its own.
    """
    if not text:
        return ()

    def encode(string: str) -> tuple[int, ...]:
        ids = tokenizer(string, add_special_tokens=False, split_special_tokens=False).input_ids
        return tuple(int(i) for i in ids)

    if text.endswith(" ") and not own_spaces and encode("a b") == encode("a") + encode("b"):
        return encode_control(tokenizer, text[:-1], own_spaces=True)
    if not text[0].isspace():
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
    # As Vicuna v1.1 and v1.5 were trained; v0, below, had another.
    "vicuna": Template(
        name="vicuna",
        bos=True,
        system_prompt=(
            "A chat between a curious user and an artificial intelligence assistant. The assistant "
            "gives helpful, detailed, and polite answers to the user's questions."
        ),
        turns={
            "system": Turn("", " "),
            "user": Turn("USER:", " "),
            "assistant": Turn("ASSISTANT:", None),
        },
    ),
    # What the released NExT-GPT checkpoint was trained on. The "###" that ends a reply also opens
    # the next turn, so only the first one needs it. Llama tokenizers write it as two tokens after a
    # line break and as one after a signal run, where the original's tokenizer dropped the break.
    # That code encoded piece by piece, so spaces at the ends of its pieces became tokens.
    "nextgpt-legacy": Template(
        name="nextgpt-legacy",
        bos=True,
        opening="###",
        control=("<Img>", "</Img>"),
        around_media=("<Img>", "</Img>"),
        before_first_text=" ",
        own_spaces=True,
        stops=("###",),
        turns={
            "system": Turn("", "\n###"),
            "user": Turn("Human:", ""),
            "assistant": Turn("\n### Assistant: ", "\n###"),
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
