"""Dialogues from a language model: what it is told, and how its answer is read.

As in the paper (section 5.2) it sees template dialogues between a Human and a Machine and a topic.
In addition, each question draws which media come in and go out and what the Machine has to do, so
that a thousand answers do not all run the same way.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anyweave.messages import PAPER_MODALITIES, Conversation, Modality
from anyweave_making.llm import LLM, Prompt
from anyweave_making.mosit.dialogue import Dialogue, media_of
from anyweave_making.mosit.grammar import TURNS
from anyweave_making.mosit.topics import Topic
from anyweave_making.written import read_conversation

__all__ = ["ANSWER_TOKENS", "Prompter", "read_examples"]

ANSWER_TOKENS = 450  # about one dialogue of five turns
_OURS = Path(__file__).with_name("examples.txt")
_NUM_EXAMPLES = 2
_TASKS: dict[str, str] = {
    "explicit": "the Human asks for a medium in so many words",
    "implicit": "the Human only hints at a medium, and the Machine understands and gives it",
    "perception": "the Human shows a medium and the Machine says what it is",
    "reasoning": "the Machine explains why something is as it is, in depth",
    "suggestion": "the Machine advises on something personal",
    "planning": "the Machine makes a plan of several steps",
    "correction": 'the Human corrects the Machine ("no, I mean the sound")',
}
_SYSTEM = """You write dialogues between a Human and a Machine that sees, hears and makes media.
Rules:
- Each line begins with "Human:" or "Machine:". They take turns; the Human begins, the Machine ends.
- A medium stands in its place as [image: ...], [video: ...] or [audio: ...] with a caption of 4 to
  12 words that says concretely what it shows: no names, no text in pictures, nothing abstract.
- On the Human's side a medium is given, on the Machine's side it is made.
- The kinds of media change from one to the next.
- One line leads to the next: people refer back ("and how does that sound?"), change their minds and
  have reasons. The Machine answers with substance, in two to five sentences.
- Write like people talk. Write the dialogue and nothing else."""


def read_examples(path: str | Path | None = None) -> tuple[str, ...]:
    """Template dialogues in the written form, with blank lines between them; ours by default.

    Raises `ValueError` for a dialogue that is not in that form.
    """
    path = Path(path or _OURS)
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    examples = tuple(block.strip() for block in blocks if block.strip())
    for number, example in enumerate(examples, 1):
        try:
            read_conversation(example)
        except ValueError as error:
            raise ValueError(f"{path}: example {number}: {error}") from error
    return examples


class Prompter:
    """Has a language model write the dialogues."""

    def __init__(self, llm: LLM, examples: Sequence[str]) -> None:
        if not examples:
            raise ValueError("no template dialogues; give at least one")
        self._llm = llm
        self._examples = examples
        self.name = llm.model

    def write(self, id: str, topic: Topic, seed: Sequence[int]) -> Dialogue:
        """A dialogue on `topic`. Raises `GivenUpError` when no answer was usable."""
        prompt, tasks = self._prompt(topic, seed)
        conversation = self._llm.ask(prompt, _read)
        return Dialogue(
            id=id, topic=topic.name, writer=self.name, conversation=conversation, tags=tasks
        )

    def prompt(self, topic: Topic, seed: Sequence[int]) -> Prompt:
        """What the language model is asked, for a cost estimate."""
        return self._prompt(topic, seed)[0]

    def _prompt(self, topic: Topic, seed: Sequence[int]) -> tuple[Prompt, tuple[str, ...]]:
        rng = np.random.default_rng(list(seed))
        weights = np.array(list(TURNS.values()))
        turns = int(rng.choice(list(TURNS), p=weights / weights.sum()))
        tasks = tuple(sorted(rng.choice(list(_TASKS), size=3, replace=False)))
        given, made = (_drawn(rng) for _ in range(2))
        order = rng.permutation(len(self._examples))[:_NUM_EXAMPLES]
        shown = "\n\n".join(self._examples[i] for i in order)
        wanted = "\n".join(f"- {_TASKS[task]}" for task in tasks)
        user = (
            f"Two dialogues as they should be:\n\n{shown}\n\n"
            f"Now write one about {topic.name}, with {turns} lines of each speaker. "
            f"The Human gives {_listed(given)}, the Machine makes {_listed(made)}. "
            f"In it:\n{wanted}"
        )
        number = zlib.crc32(repr(tuple(seed)).encode()) % 2**31
        return Prompt(system=_SYSTEM, user=user, seed=number, max_tokens=1600), tasks


def _drawn(rng: np.random.Generator) -> list[Modality]:
    """One to three kinds of media."""
    size = int(rng.integers(1, len(PAPER_MODALITIES) + 1))
    return [PAPER_MODALITIES[i] for i in sorted(rng.permutation(len(PAPER_MODALITIES))[:size])]


def _listed(modalities: Sequence[Modality]) -> str:
    names = [f"{'an' if m[0] in 'aeiou' else 'a'} {m}" for m in modalities]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _read(answer: str) -> Conversation:
    conversation = read_conversation(answer)
    if not media_of(conversation):
        raise ValueError("the dialogue has no media")
    return conversation
