"""A language model's own `chat_template` as a `Template`.

The template is a program; what it writes around each turn is found by rendering a few small
conversations and cutting at what was said in them. So masks, the KV cache and the rest work on
turns as usual. This needs a conversation to be the beginning of the same one with more turns, which
is checked; a template that rewrites earlier turns is refused.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from anyweave.messages import Role
from anyweave.processing.template import TEMPLATES, Template, Turn
from anyweave.tensors import explained

logger = logging.getLogger(__name__)

NATIVE = "native"
# What the trial conversations say: words that no template changes or looks for.
_SYSTEM, _ASKED, _SAID, _ASKED_2, _SAID_2 = "qxsz", "qxuaz", "qxaaz", "qxubz", "qxabz"
_TALK: tuple[tuple[Role, str], ...] = (
    ("user", _ASKED), ("assistant", _SAID), ("user", _ASKED_2), ("assistant", _SAID_2),
)  # fmt: skip


def native_template(tokenizer: PreTrainedTokenizerBase) -> Template:
    """What the tokenizer's own chat template writes around turns.

    The assistant's turn ends with what the template's ``{% generation %}`` block holds after the
    words, or else with the first special token after them. If the template knows no system message,
    one is written at the beginning of the user's first turn.

    Raises `ValueError` for a tokenizer without a chat template, and for a template whose turns
    cannot be told apart, or change when others follow.
    """
    found = tokenizer.chat_template
    if not found:
        raise _refused("the tokenizer has no chat_template, and the spec names none")
    writer = _Writer(tokenizer)
    whole = writer.write(_TALK)
    if not writer.write((*_TALK, ("user", _ASKED)), prompt=True).startswith(whole):
        raise _refused("a reply is written otherwise when another turn follows")
    head, to_reply, to_user, to_reply_2, after = _cut(whole, _ASKED, _SAID, _ASKED_2, _SAID_2)
    opening = to_user.removeprefix(after)
    asked, prompt = (writer.write(_TALK[:1], prompt=asks) for asks in (False, True))
    # A space before a reply may come with its words, and not every template writes prompts.
    expected = f"{head}{_ASKED}{to_reply}".rstrip(" ")
    if (
        to_reply != to_reply_2
        or not to_user.startswith(after)
        or not head.endswith(opening)
        or prompt.rstrip(" ") not in (expected, asked.rstrip(" "))
        or not expected.startswith(asked.rstrip(" "))
    ):
        raise _refused("what it writes around a turn depends on the turns before or after it")
    user_end = asked[len(head) + len(_ASKED) :]
    end = _end(writer, after)
    turns: dict[Role, Turn] = {
        "user": Turn(opening, user_end),
        "assistant": Turn(to_reply[len(user_end) :], end, after[len(end) :]),
    }
    system, merged = _system(writer, head, whole, opening)
    return Template(
        name=f"{NATIVE}-{hashlib.sha256(str(found).encode()).hexdigest()[:12]}",
        turns={**turns, "system": system},
        opening=head[: len(head) - len(opening)],
        opening_with_system="",
        system_opens_user=merged,
    )


class _Writer:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        with explained("the model's chat_template"):
            self.template = str(tokenizer.get_chat_template())

    def write(self, turns: Sequence[tuple[Role, str]], *, prompt: bool = False) -> str:
        return self._render(turns, prompt)[0]

    def spans(self, turns: Sequence[tuple[Role, str]]) -> list[tuple[int, int]]:
        """Where the blocks of ``{% generation %}`` are."""
        return self._render(turns, False, return_assistant_tokens_mask=True)[1]

    def _render(
        self, turns: Sequence[tuple[Role, str]], prompt: bool, **options: Any
    ) -> tuple[str, list[tuple[int, int]]]:
        messages = [{"role": role, "content": text} for role, text in turns]
        names: Mapping[str, Any] = self.tokenizer.special_tokens_map
        try:
            with explained("it"):
                made: Any = render_jinja_template(
                    [messages],
                    chat_template=self.template,
                    add_generation_prompt=prompt,
                    **options,
                    **names,
                )
        except ValueError as error:
            raise _refused(f"it does not write a plain conversation ({error})") from error
        return str(made[0][0]), [tuple(span) for span in (made[1] or [[]])[0]]


def _refused(reason: str) -> ValueError:
    return ValueError(
        f"the model's own chat template cannot be used: {reason}; name another in the spec's "
        f"template: {', '.join(sorted(TEMPLATES))}"
    )


def _cut(text: str, *words: str) -> list[str]:
    """The text before, between and after the words."""
    pieces = []
    for word in words:
        if text.count(word) != 1:
            raise _refused(f"what a turn says is written {text.count(word)} times")
        piece, _, text = text.partition(word)
        pieces.append(piece)
    return [*pieces, text]


def _end(writer: _Writer, after: str) -> str:
    """The part of what follows the assistant's words that the assistant itself says."""
    if re.search(r"{%-?\s*generation\b", writer.template):
        text = writer.write(_TALK[:2])
        start = text.find(_SAID)
        for first, last in writer.spans(_TALK[:2]):
            if first <= start and start + len(_SAID) < last:
                return text[start + len(_SAID) : last]
    special = {str(token) for token in writer.tokenizer.all_special_tokens}
    special |= {str(t) for t in writer.tokenizer.added_tokens_decoder.values() if t.special}
    ends = [after.find(t) + len(t) for t in special if t and t in after]
    if not ends:
        raise _refused(f"no special token ends a reply, {after!r} follows it")
    return after[: min(ends)]


def _system(writer: _Writer, head: str, whole: str, opening: str) -> tuple[Turn, bool]:
    """The system message's turn, and whether it opens the user's first one."""
    try:
        text = writer.write((("system", _SYSTEM), *_TALK))
    except ValueError:  # the template refuses one
        text = ""
    before, found, behind = text.partition(_SYSTEM)
    between = behind.partition(_ASKED)[0]
    if found and behind[len(between) :] == whole[len(head) :]:
        if between.endswith(opening):
            return Turn(before, between[: len(between) - len(opening)]), False
        return Turn(before, between), True
    logger.info(
        "the model's chat template has no place for a system message: it is written at the "
        "beginning of the first user's turn"
    )
    return Turn(head, "\n\n"), True
