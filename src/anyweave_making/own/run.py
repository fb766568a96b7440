"""The run itself: replies before, training that stops when the held-out loss rises, replies after,
and a report.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from anyweave.evaluation.metrics import Ratio
from anyweave.files import read_object, write_json
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.messages import Conversation, Message
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.tensors import load_tensors, save_tensors
from anyweave.training.features import FrozenFeatures
from anyweave.training.held_out import Pairs, denoising_errors, held_out_losses
from anyweave.training.report import read_log
from anyweave.training.trainer import Trainer
from anyweave_making.own.look import OwnData, evenly, requests
from anyweave_making.own.plan import PLAN_FILE, Lesson, Plan
from anyweave_making.own.report import Answered, Learned, OwnReport, write_report

logger = logging.getLogger(__name__)

PATIENCE = 2
"""Checks in a row without a better held-out loss that end the run."""
_SHOWN = 8
_MOST_HELD_OUT = 32  # conversations per check
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
    """The best weights so far, on disk, so that a resumed run knows them."""

    folder: Path
    losses: list[tuple[int, float]]

    @classmethod
    def open(cls, folder: Path) -> _Best:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "held_out.json"
        rows = read_object(path)["losses"] if path.is_file() else []
        return cls(folder, [(int(step), float(loss)) for step, loss in rows])

    @property
    def step(self) -> int:
        return min(self.losses, key=lambda row: (math.isnan(row[1]), row[1]))[0]

    @property
    def rose(self) -> bool:
        """Whether the lesson should end."""
        return len([row for row in self.losses if row[0] > self.step]) >= PATIENCE

    def add(self, step: int, loss: float, weights: Mapping[str, torch.Tensor]) -> None:
        """Record a check."""
        self.losses = [row for row in self.losses if row[0] < step] + [(step, loss)]
        if self.step == step:
            save_tensors({k: v.detach().cpu() for k, v in weights.items()}, self._weights)
        write_json(self.folder / "held_out.json", {"losses": self.losses})

    def restore(self, weights: Mapping[str, torch.nn.Parameter]) -> None:
        best = load_tensors(self._weights)
        with torch.no_grad():
            for name, parameter in weights.items():
                parameter.copy_(best[name])

    @property
    def _weights(self) -> Path:
        return self.folder / "best.safetensors"


# All that a run leaves but the cache, which later runs read too.
_WRITTEN = (PLAN_FILE, "report.*", "model", "before*", "after*", "run", "decoders")


def check_free(output: str | Path) -> None:
    """Raise `ValueError` if the folder holds a run, finished or not."""
    if found := [path.name for name in _WRITTEN for path in Path(output).glob(name)]:
        raise ValueError(
            f"{output} holds a run ({', '.join(found)}): go on with it (--resume), or choose "
            "another folder"
        )


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

    A stopped run continues with `resume`. Raises `ValueError` for a folder that holds another run.
    """
    output = Path(output)
    if not resume:
        check_free(output)
    output.mkdir(parents=True, exist_ok=True)
    plan.save(output)
    loaded = NextGPT.from_pretrained(model, lazy_encoders=True, **plan.model_args)
    asked = requests(data, _SHOWN, lambda shown: _problem(loaded, shown) is None)
    fixed = [Message("user", text) for text in ALWAYS_ASKED]
    say("replies before training")
    before = _answers(loaded, [question for question, _ in asked], output / "before")
    fixed_before = _answers(loaded, fixed, output / "before-fixed")
    told = [_learn(loaded, lesson, data, resume=resume, say=say) for lesson in plan.lessons]
    loaded.eval()
    loaded.save_pretrained(output / "model")
    say("replies after training")
    after = _answers(loaded, [question for question, _ in asked], output / "after")
    fixed_after = _answers(loaded, fixed, output / "after-fixed")
    found = OwnReport(
        model=str(model),
        output=output,
        plan=plan.to_markdown(data),
        lessons=tuple(told),
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


def _learn(model: NextGPT, lesson: Lesson, data: OwnData, *, resume: bool, say: Say) -> Learned:
    """One lesson; the model has its best weights afterwards. Raises `KeyboardInterrupt` when it was
    stopped by hand.
    """
    config, folder = lesson.config, Path(lesson.config.output_dir)
    cache = FeatureCache(config.cache_dir) if config.cache_dir else None
    source = data.showing_held_out if lesson.about_decoders else data.held_out
    left_out: Counter[str] = Counter()
    held_out = _usable(model, [source[n] for n in evenly(len(source), _MOST_HELD_OUT)], left_out)
    bridge = model.spec.bridge
    model.spec = replace(model.spec, bridge=config.model.args.get("bridge", bridge))
    best = _Best.open(folder.with_name(f"{folder.name}-best"))

    def loss_of(trained: NextGPT) -> float:
        if lesson.about_decoders:
            return _mean(denoising_errors(trained, held_out, config, cache=cache))
        return _held_out_loss(trained, held_out, cache)

    def check(trained: NextGPT, folder: Path, prompts: Sequence[str]) -> None:
        step = int(folder.name.rpartition("-")[2])
        best.add(step, loss_of(trained), _weights(trainer))
        say(f"step {step}: held-out loss {best.losses[-1][1]:.4f}, best at step {best.step}")
        trainer.interruption.requested |= best.rose

    trainer = Trainer(model, config, lesson.conversations(data), write_samples=check)
    if not best.losses:
        best.add(0, loss_of(model), _weights(trainer))
    report = None
    if not best.rose:  # else the lesson had ended before the run was stopped
        report = trainer.train(resume=resume)
        if report.interrupted and not best.rose:
            raise KeyboardInterrupt
    best.restore(_weights(trainer))
    model.spec = replace(model.spec, bridge=bridge)
    return Learned(
        stage=config.stage.name,
        held_out=tuple(best.losses),
        best_step=best.step,
        steps=best.losses[-1][0] if report is None else report.steps,
        seconds=sum(step["seconds"] for step in read_log(folder / "log.jsonl")),  # of all runs
        skipped=left_out | Counter({} if report is None else report.skipped),
    )


def _usable(
    model: NextGPT, held_out: Sequence[Conversation], left_out: Counter[str]
) -> list[Conversation]:
    """The conversations that can be rendered; others are left out, as training does with its own.

    Raises `ValueError` where none is left.
    """
    usable = []
    for conversation in held_out:
        problem = _problem(model, conversation)
        if problem is None:
            usable.append(conversation)
        else:
            left_out[f"held out: {problem}"] += 1
    if not usable:
        raise ValueError(
            f"none of {len(held_out)} held-out conversations can be used, so nothing would say "
            f"when to stop ({'; '.join([*left_out][:3])}); mend the data"
        )
    return usable


def _problem(model: NextGPT, conversation: Conversation) -> str | None:
    """Why a conversation cannot be used, or None."""
    told = FrozenFeatures(model).renderer([conversation])(0, load_targets=True).problem
    return None if told is None else told.removeprefix("item 0: ")


def _weights(trainer: Trainer) -> dict[str, torch.nn.Parameter]:
    return {
        f"{role}.{name}": parameter
        for role, named in trainer.parameters.items()
        for name, parameter in named.items()
    }


def _held_out_loss(model: NextGPT, held_out: Sequence[Any], cache: FeatureCache | None) -> float:
    """Nats per token plus, per modality, the share of the captions' variance that is missed."""
    losses = held_out_losses(model, held_out, cache=cache, max_length=None, progress=False)
    return _sum({"language": losses.language, **losses.alignment})


def _sum(losses: Mapping[Any, Pairs]) -> float:
    return sum(Ratio.of(pairs).value or 0.0 for pairs in losses.values())


def _mean(losses: Mapping[Any, Pairs]) -> float:
    return _sum(losses) / max(1, len(losses))


def _answers(model: NextGPT, asked: Sequence[Message], folder: Path) -> list[Message]:
    """Replies to each, in conversations of their own; their media are saved in `folder`."""
    model.eval()
    replies: list[Message] = []
    for number, question in enumerate(asked):
        reply = ChatSession(model, _SETTINGS).reply(question)
        reply.save(folder, f"{number:02d}")
        replies.append(reply)
    return replies
