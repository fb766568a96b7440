"""What will be done with somebody's data, how long it takes and how much memory: found out by a few
real steps before anything is written.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import median

import torch

from anyweave.files import read_object, write_json
from anyweave.model.any_to_any import NextGPT
from anyweave.training.config import TrainConfig
from anyweave.training.recipes.fine_tune import fine_tune
from anyweave.training.report import read_log
from anyweave.training.stages import Loss
from anyweave.training.trainer import Trainer
from anyweave_making.own.look import OwnData

PLAN_FILE = "plan.json"
_EPOCHS = 10.0
"""At most: the held-out loss ends a run earlier."""
_CHECKS = 12
"""How often a run looks at its held-out loss."""
_TRIAL_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is about to be: its config, and what it will cost."""

    config: TrainConfig
    why: str
    """Of the stage."""
    check_every: int
    seconds_per_step: float
    gigabytes: float
    """Peak of memory in the trial: of the GPU where there is one, else of the process."""

    def save(self, folder: Path) -> None:
        """Keep the plan, for a run that is stopped and goes on."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        write_json(folder / PLAN_FILE, {**values, "config": self.config.to_dict()}, indent=1)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """The plan of a run that was begun in `folder`. Raises `ValueError` where there is none."""
        if not (folder / PLAN_FILE).is_file():
            raise ValueError(f"{folder} holds no run to go on with; start one without --resume")
        values = read_object(folder / PLAN_FILE)
        return cls(**{**values, "config": TrainConfig.from_dict(values["config"])})

    @property
    def seconds(self) -> float:
        return self.seconds_per_step * (self.config.steps or 0)

    def to_markdown(self, data: OwnData) -> str:
        """The plan as a table."""
        config, stats = self.config, data.stats
        effective = config.data.batch_size * config.grad_accumulation
        rows = {
            "data": f"{data.path}: {len(data.train)} conversations to train on, "
            f"{len(data.held_out)} held out, {stats.in_out}, {stats.mean_turns:.1f} turns each",
            **({"captioned media": str(data.captioned)} if data.captioned else {}),
            **{f"left out: {why}": str(count) for why, count in data.left_out.items()},
            "stage": f"{config.stage.name}: {self.why}",
            "trains": ", ".join(config.stage.trainable),
            "rates": ", ".join(
                f"{role} {config.optimizer.rate(role):g}" for role in config.stage.trainable
            ),
            "steps": f"at most {config.steps} of {effective} conversations "
            f"({(config.steps or 0) * effective / len(data.train):.1f} epochs), in "
            f"{config.precision}",
            "held-out loss": f"every {self.check_every} steps; the best weights are kept, and the "
            "run ends when it rises",
            "time": f"at most {_spoken(self.seconds)} ({self.seconds_per_step:.1f} s a step)",
            "memory": f"{self.gigabytes:.1f} GB",
        }
        lines = [
            "| plan | |",
            "|---|---|",
            *(f"| {name} | {text} |" for name, text in rows.items()),
        ]
        return "\n".join(lines) + "\n"


def make_plan(
    data: OwnData,
    model: str | Path,
    output: str | Path,
    *,
    minutes: float | None = None,
    settings: tuple[str, ...] = (),
) -> Plan:
    """Choose stage, length and rates for `data` and `model`, and try a few steps.

    `minutes` bounds the training itself. `settings` are ``a.b=value`` overrides of the config.
    Raises `ValueError` for media that the model cannot read or make.
    """
    output = Path(output)
    config = fine_tune(3, model)
    config = replace(
        config,
        epochs=None,
        steps=_TRIAL_STEPS,
        checkpoint_every=0,
        cache_dir=str(output / "cache"),
    ).with_overrides(settings)
    loaded = NextGPT.from_pretrained(model, lazy_encoders=True)
    _check_media(loaded, data)
    stage, why = config.stage, "instructions: reading, writing and showing are learned together"
    if not data.stats.uses["assistant"] or not any(data.stats.uses["assistant"].values()):
        losses: dict[Loss, float] = {"lm": stage.losses["lm"]}
        kept = tuple(role for role in stage.trainable if role != "output_projectors")
        stage = replace(stage, losses=losses, trainable=kept)
        why = "the assistant shows no media here, so nothing about making them is trained"
        config = replace(config, stage=stage)
    seconds, gigabytes = _trial(loaded, config, data)
    effective = config.data.batch_size * config.grad_accumulation
    steps = math.ceil(_EPOCHS * len(data.train) / effective)
    if minutes is not None:
        steps = min(steps, max(1, int(minutes * 60 / seconds)))
    check_every = max(1, steps // _CHECKS)
    config = replace(
        config,
        name=f"own-{data.path.stem}",
        steps=steps,
        checkpoint_every=check_every,
        sample_every=check_every,
        sample_prompts=("(held-out loss)",),
        output_dir=str(output / "run"),
    )
    return Plan(
        config=config,
        why=why,
        check_every=check_every,
        seconds_per_step=seconds,
        gigabytes=gigabytes,
    )


def _check_media(model: NextGPT, data: OwnData) -> None:
    known = {"user": model.spec.input_modalities, "assistant": model.spec.output_modalities}
    for role, verb in (("user", "read"), ("assistant", "make")):
        wanted = {m for m, uses in data.stats.uses[role].items() if uses and m != "text"}  # type: ignore[index]
        if lacking := sorted(wanted - set(known[role])):
            raise ValueError(
                f"{model.spec.name} cannot {verb} {', '.join(lacking)}, which the data have; it "
                f"knows {', '.join(known[role]) or 'words alone'}. Choose another --model"
            )


def _trial(model: NextGPT, config: TrainConfig, data: OwnData) -> tuple[float, float]:
    """Seconds of a step and peak memory in GB. The model is spent afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(config, output_dir=str(Path(folder) / "trial"), log_every=1000)
        Trainer(model, trial, data.train).train()
        records = read_log(Path(trial.output_dir) / "log.jsonl")
    seconds = median(record["seconds"] for record in records[1:] or records)
    if torch.cuda.is_available():
        return seconds, torch.cuda.max_memory_allocated() / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return seconds, peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def _spoken(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
