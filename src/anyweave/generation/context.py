"""Decides which turns a conversation keeps when they no longer all fit the context.

The oldest exchange is dropped first, whole, with its media; a system message stays. `Usage.dropped`
counts everything dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

from anyweave.generation.events import Dropped
from anyweave.generation.options import GenerationOptions
from anyweave.language import CausalLM
from anyweave.messages import Message
from anyweave.processing import Processor

SLACK = 0.25
"""Share of the room left free after a cut, so that the next turns need no cut or new prefill."""


def context_limit(language: CausalLM, options: GenerationOptions) -> int | None:
    """Positions that a prompt and its reply may take together; None means no limit.

    Raises `ValueError` if `options.context_length` exceeds the model's position table.
    """
    asked, own = options.context_length, language.context_length
    if asked is None or own is None:
        return own if asked is None else asked
    if asked > own and language.has_position_table:
        raise ValueError(
            f"context_length is {asked}, but {type(language.model).__name__} has a table of {own} "
            f"positions and knows no others; give at most {own}"
        )
    return asked


def fit_context(
    processor: Processor,
    conversation: Sequence[Message],
    options: GenerationOptions,
    limit: int | None,
) -> tuple[list[Message], Dropped]:
    """The conversation that fits, and what was dropped from it.

    Room is kept for `max_new_tokens` and forced media, but for at most half of `limit`. `SLACK` is
    ignored where it alone would drop the exchange before the last turn. The reply gets the room
    that is left, at least one token.

    Raises `ValueError` if the last turn alone, with forced media, does not fit.
    """
    kept = list(conversation)
    if limit is None:
        return kept, Dropped()
    forced = sum(map(processor.cost, options.force))
    prompt = len(processor.turn_ids["assistant"].prefix)
    costs = processor.turn_lengths(kept)
    length = processor.length(kept) + prompt
    room = limit - min(options.max_new_tokens + forced, limit // 2)
    system = kept[:1] if kept[0].role == "system" else []
    groups = _exchanges(costs, kept, len(system))
    left = 0  # exchanges to drop
    if length > room:
        while left < len(groups) - 1:
            is_last = left == len(groups) - 2
            if length <= (room if is_last else room * (1 - SLACK)):
                break
            length -= sum(costs[index] for index in groups[left])
            left += 1
    if length + forced + 1 > limit:
        raise ValueError(
            f"this turn does not fit: it takes {length} tokens"
            + (f" and the forced media {forced}" if forced else "")
            + f", the language model has {limit} positions for it and the reply; shorten the "
            "message, give fewer media, or use a model with a longer context"
        )
    gone = [index for group in groups[:left] for index in group]
    dropped = Dropped(
        exchanges=left,
        messages=len(gone),
        tokens=sum(costs[index] for index in gone),
        media=sum(len(kept[index].media()) for index in gone),
    )
    first = gone[-1] + 1 if gone else len(system)
    return [*system, *kept[first:]], dropped


def _exchanges(costs: Sequence[int], messages: Sequence[Message], first: int) -> list[list[int]]:
    """Indices from `first` in groups. Each, except perhaps the first, begins with a user's message
    that follows a reply.
    """
    groups: list[list[int]] = []
    for index in range(first, len(costs)):
        opens = messages[index].role == "user" and messages[index - 1].role == "assistant"
        if not groups or opens:
            groups.append([])
        groups[-1].append(index)
    return groups
