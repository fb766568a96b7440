"""A model measured on any conversations: its losses, and which kinds of media it answers with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyweave.data import open_data
from anyweave.evaluation.metrics import Decisions, Figure, Ratio
from anyweave.generation.batching import ReplyBatcher
from anyweave.generation.options import GenerationOptions
from anyweave.messages import Conversation, Message, Modality
from anyweave.model.any_to_any import NextGPT
from anyweave.training.held_out import held_out_losses

Progress = Callable[[int, int], None]
# Greedy, and no decoder runs: only which media are asked for is judged.
_DECIDING = GenerationOptions(temperature=0.0, max_new_tokens=128, seed=0, decode_media=False)


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was measured. Losses come with 95% intervals, by bootstrap over conversations."""

    conversations: int
    language: Figure
    """Nats per token of what the assistant says."""
    alignment: Mapping[Modality, Figure]
    """Per modality, the share of the captions' variance that the conditioning misses: 0 is perfect,
    1 says nothing of the caption. Over media that have one.
    """
    decisions: Decisions
    """The media of replies against those of the assistant in the data, turn by turn."""
    by_modality: Mapping[Modality, Decisions]
    """The same for one modality at a time."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "conversations": self.conversations,
            "language_loss": vars(self.language),
            "alignment_error": {m: vars(figure) for m, figure in self.alignment.items()},
            "decisions": self.decisions.to_dict(),
            "decisions_by_modality": {m: d.to_dict() for m, d in self.by_modality.items()},
        }

    def to_markdown(self) -> str:
        """Two tables: losses, and decisions."""
        lines = ["| loss | trials | value |", "|---|---|---|"]
        named = {"language, nats per token": self.language}
        named |= {f"alignment error, {m}": found for m, found in self.alignment.items()}
        for name, figure in named.items():
            # If all captions are alike, they have no variance to take a share of.
            alike = figure.trials and figure.value is None
            lines.append(f"| {name} | {figure.trials} | {'captions alike' if alike else figure} |")
        lines += ["", "| media | precision | recall | F1 | false draws |", "|---|---|---|---|---|"]
        for name, found in [("all", self.decisions), *self.by_modality.items()]:
            shares = (found.precision, found.recall, found.f1)
            values = ["-" if share is None else f"{share:.2f}" for share in shares]
            lines.append(f"| {name} | {' | '.join(values)} | {found.false_draw_share} |")
        return "\n".join(lines) + "\n"


def evaluate(
    model: NextGPT | str | Path,
    data: str | Path | Sequence[Conversation],
    *,
    format: str | None = None,
    options: GenerationOptions | None = None,
    batch_size: int = 8,
    device: str | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Measure a model on a data file in any format, or on conversations.

    Every assistant turn is asked for after the data's own turns before it; its media are not made.
    Turns that do not follow a user's count only in the losses.

    Args:
        model: a model, or what `anyweave.load` takes; `device` is then where to put it.
        data: a file, a data set or shards; `anyweave.Records` says more about how to read them.
        format: a file's format by name; None detects it.
        options: for the replies; the default is greedy, with at most 128 tokens.
        batch_size: for the losses.
        progress: called with (conversations answered, all).

    Raises:
        ValueError: no data, a conversation that cannot be used (figures must not depend on what was
            left out; ``anyweave data validate --clean`` writes what can), or a modality that the
            model does not have.
    """
    if not isinstance(model, NextGPT):
        model = NextGPT.from_pretrained(model, device=device)
    source: Any = open_data(data, format) if isinstance(data, (str, Path)) else data
    if len(source) == 0:
        raise ValueError(f"{data if isinstance(data, (str, Path)) else 'data'}: no conversation")
    losses = held_out_losses(
        model, source, batch_size=batch_size, max_length=None, progress=progress is not None
    )
    decisions, single = Decisions(), {m: Decisions() for m in model.spec.output_modalities}
    settings = (options or _DECIDING).with_overrides(decode_media=False)
    conversations = (source[number] for number in range(len(source)))
    with ReplyBatcher(model) as batcher:
        ask = partial(_turns, batcher, settings)
        for number, turns in enumerate(batcher.map(ask, conversations), 1):
            for wanted, given in turns:
                decisions = decisions.plus(wanted, given)
                single = {m: d.plus(wanted & {m}, given & {m}) for m, d in single.items()}
            if progress is not None:
                progress(number, len(source))
    return DataReport(
        conversations=len(source),
        language=Figure.of(Ratio.of(losses.language)),
        alignment={m: Figure.of(Ratio.of(pairs)) for m, pairs in losses.alignment.items()},
        decisions=decisions,
        by_modality=single,
    )


def _turns(
    batcher: ReplyBatcher, options: GenerationOptions, conversation: Conversation
) -> list[tuple[set[Modality], set[Modality]]]:
    """For every turn that answers a user's: the modalities in the data and in the model's reply."""
    session, found = batcher.chat(options), []
    for place, message in enumerate(conversation):
        if message.role == "assistant" and place and conversation[place - 1].role == "user":
            session.messages = list(conversation[: place - 1])
            reply = session.reply(conversation[place - 1])
            found.append((_modalities(message), _modalities(reply)))
    return found


def _modalities(message: Message) -> set[Modality]:
    return {part.modality for part in message.media()}
