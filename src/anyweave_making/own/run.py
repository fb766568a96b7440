"""The run itself: replies before, training that stops when the held-out loss rises, replies after,
and a report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from anyweave.files import check_new, read_object, write_json
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.messages import Message
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.tensors import load_tensors, save_tensors
from anyweave.training.held_out import held_out_losses
from anyweave.training.trainer import Trainer
from anyweave_making.own.look import OwnData, requests
from anyweave_making.own.plan import Plan
from anyweave_making.own.report import Answered, OwnReport, write_report

logger = logging.getLogger(__name__)

PATIENCE = 2
"""Checks in a row without a better held-out loss that end the run."""
_SHOWN = 8
_MOST_HELD_OUT = 64  # conversations of a check
# Asked before and after, whatever the data are about: what was forgotten shows here.
ALWAYS_ASKED = (
    "Hello!",
    "Who are you?",
    "What can you do?",
    "What is 3 plus 4?",
    "Thank you, that was nice.",
    "Show me a picture of a dog.",
    "Draw two apples on a white background.",
    "Make a short video of a car.",
    "Play the sound of a piano.",
    "I want to see and hear a cat.",
)
_SETTINGS = GenerationOptions(max_new_tokens=96, temperature=0, seed=0)
Say = Callable[[str], None]


@dataclass
class _Best:
    """The best weights so far, on disk, so that a run that was killed knows them."""

    folder: Path
    losses: list[tuple[int, float]]

    @classmethod
    def open(cls, folder: Path) -> _Best:
        path = folder / "held_out.json"
        rows = read_object(path)["losses"] if path.is_file() else []
        return cls(folder, [(int(step), float(loss)) for step, loss in rows])

    @property
    def step(self) -> int:
        return min(self.losses, key=lambda row: row[1])[0]

    def add(self, step: int, loss: float, weights: Mapping[str, torch.Tensor]) -> bool:
        """Take a check down; True where the run should end."""
        self.losses = [row for row in self.losses if row[0] < step] + [(step, loss)]
        if self.step == step:
            save_tensors({k: v.detach().cpu() for k, v in weights.items()}, self._weights)
        write_json(self.folder / "held_out.json", {"losses": self.losses})
        later = [row for row in self.losses if row[0] > self.step]
        return len(later) >= PATIENCE

    def restore(self, weights: Mapping[str, torch.nn.Parameter]) -> None:
        best = load_tensors(self._weights)
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(best[name])

    @property
    def _weights(self) -> Path:
        return self.folder / "best.safetensors"


def train_own(
    data: OwnData,
    model: str | Path,
    output: str | Path,
    plan: Plan,
    *,
    resume: bool = False,
    say: Say = logger.info,
) -> OwnReport:
    """Train as planned and write ``model/``, ``report.md`` and ``report.html`` into `output`.

    A run that was stopped goes on with `resume`. Raises `ValueError` for a folder that holds
    something else.
    """
    output = Path(output)
    if not resume:
        check_new(output / "run")
    output.mkdir(parents=True, exist_ok=True)
    plan.save(output)
    loaded = NextGPT.from_pretrained(model, lazy_encoders=True)
    asked = [(question, answer) for question, answer in requests(data, _SHOWN)]
    fixed = [Message("user", text) for text in ALWAYS_ASKED]
    say("replies before training")
    before = _answers(loaded, [question for question, _ in asked], output / "before")
    fixed_before = _answers(loaded, fixed, output / "before-fixed")

    best = _Best.open(output)
    cache = FeatureCache(plan.config.cache_dir) if plan.config.cache_dir else None
    held_out = (
        data.held_out[:_MOST_HELD_OUT]
        if isinstance(data.held_out, list)
        else [data.held_out[n] for n in range(min(_MOST_HELD_OUT, len(data.held_out)))]
    )

    def check(trained: NextGPT, folder: Path, prompts: Sequence[str]) -> None:
        step = int(folder.name.rpartition("-")[2])
        loss = _held_out_loss(trained, held_out, cache)
        ends = best.add(step, loss, _weights(trainer))
        say(f"step {step}: held-out loss {loss:.4f}, best {min(best.losses, key=lambda r: r[1])}")
        if ends:
            trainer.interruption.requested = True

    trainer = Trainer(loaded, plan.config, data.train, write_samples=check)
    if not best.losses:
        best.add(0, _held_out_loss(loaded, held_out, cache), _weights(trainer))
    report = trainer.train(resume=resume)
    stopped_by_hand = report.interrupted and not _rose(best)
    if stopped_by_hand:
        raise KeyboardInterrupt
    best.restore(_weights(trainer))
    loaded.eval()
    loaded.save_pretrained(output / "model")
    say("replies after training")
    after = _answers(loaded, [question for question, _ in asked], output / "after")
    fixed_after = _answers(loaded, fixed, output / "after-fixed")
    found = OwnReport(
        model=str(model),
        output=output,
        plan=plan.to_markdown(data),
        held_out=tuple(best.losses),
        best_step=best.step,
        steps=report.steps,
        seconds=report.seconds,
        skipped=report.skipped,
        asked=tuple(
            Answered(question, wanted, was, now)
            for (question, wanted), was, now in zip(asked, before, after, strict=True)
        ),
        always_asked=tuple(
            Answered(question, None, was, now)
            for question, was, now in zip(fixed, fixed_before, fixed_after, strict=True)
        ),
    )
    write_report(found)
    return found


def _rose(best: _Best) -> bool:
    return len([row for row in best.losses if row[0] > best.step]) >= PATIENCE


def _weights(trainer: Trainer) -> dict[str, torch.nn.Parameter]:
    return {
        f"{role}.{name}": parameter
        for role, named in trainer.parameters.items()
        for name, parameter in named.items()
    }


def _held_out_loss(model: NextGPT, held_out: Sequence[Any], cache: FeatureCache | None) -> float:
    """Nats per token plus, per modality, the share of the captions' variance that is missed."""
    losses = held_out_losses(model, held_out, cache=cache, max_length=None, progress=False)
    total = _ratio(losses.language)
    return total + sum(_ratio(pairs) for pairs in losses.alignment.values())


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    below = sum(count for _, count in pairs)
    return sum(value for value, _ in pairs) / below if below else 0.0


def _answers(model: NextGPT, asked: Sequence[Message], folder: Path) -> list[Message]:
    """Replies to each, in conversations of their own; kept in `folder` for a run that goes on."""
    model.eval()
    replies: list[Message] = []
    for number, question in enumerate(asked):
        reply = ChatSession(model, _SETTINGS).reply(question)
        reply.save(folder, f"{number:02d}")
        replies.append(reply)
    return replies
