"""What will be done with a user's own data, and its time and memory: measured by a few real steps.
They leave nothing but the cache of frozen features, which the run then reads.
"""

from __future__ import annotations

import math
import resource
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from anyweave.files import read_object, write_json
from anyweave.messages import Conversation
from anyweave.model.any_to_any import NextGPT
from anyweave.training.config import TrainConfig
from anyweave.training.recipes.fine_tune import fine_tune
from anyweave.training.report import read_log
from anyweave.training.stages import DECODER_TUNING, Loss
from anyweave.training.trainer import Trainer
from anyweave_making.own.look import OwnData

PLAN_FILE = "plan.json"
_EPOCHS = 10.0
"""At most: the held-out loss may end a run earlier."""
_DECODER_EPOCHS = 150.0
_FEW_EPOCHS = 60.0
"""Shapes come late: a medium has to be seen at many noise levels."""
_DECODER_SHARE = 0.4
"""Of the minutes, if the decoders learn too."""
_DECODER_RATE = 1.5e-3
_CHECKS = 8
"""How often a lesson checks its held-out loss."""
_TRIAL_STEPS = 3
_DECIDED = (
    *("steps", "epochs", "checkpoint_every", "sample_every", "sample_prompts"),
    *("name", "output_dir", "model.source"),
)
"""What the plan sets, and no setting."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A planned run: its config, and what it will cost."""

    config: TrainConfig
    why: str
    seconds_per_step: float
    gigabytes: float
    """Peak memory in the trial: of the GPU if there is one, else of the process."""

    @property
    def about_decoders(self) -> bool:
        return self.config.stage.name == DECODER_TUNING.name

    @property
    def seconds(self) -> float:
        return self.seconds_per_step * (self.config.steps or 0)

    def conversations(self, data: OwnData) -> Sequence[Conversation]:
        """What it trains on."""
        return data.showing if self.about_decoders else data.mixed

    def rows(self, data: OwnData) -> dict[str, str]:
        """Its rows of the plan's table."""
        config = self.config
        effective = config.data.batch_size * config.grad_accumulation
        epochs = (config.steps or 0) * effective / len(self.conversations(data))
        few = self.about_decoders and epochs < _FEW_EPOCHS
        hint = f"; few: shapes come after about {_FEW_EPOCHS:.0f}, give more --minutes"
        return {
            f"lesson: {config.stage.name}": self.why,
            "trains": ", ".join(
                f"{role} (rate {config.optimizer.rate(role):g})" for role in config.stage.trainable
            ),
            "steps": f"at most {config.steps} of {effective} conversations ({epochs:.1f} epochs"
            f"{hint if few else ''}), in {config.precision}",
            "held-out loss": f"every {config.sample_every} steps; the best weights are kept, and "
            "the lesson ends when it rises",
            "time": f"at most {_spoken(self.seconds)} ({self.seconds_per_step:.1f} s a step)",
            "memory": f"{self.gigabytes:.1f} GB",
        }


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The lessons, one after the other, and why the decoders learn or not."""

    lessons: tuple[Lesson, ...]
    decoders: str
    asked: Mapping[str, Any] = field(default_factory=dict)
    """The options that the plan was made with."""

    def save(self, folder: Path) -> None:
        """Save the plan, so that a stopped run can resume."""
        lessons = [{**asdict(lesson), "config": lesson.config.to_dict()} for lesson in self.lessons]
        values = {"lessons": lessons, "decoders": self.decoders, "asked": self.asked}
        write_json(folder / PLAN_FILE, values, indent=1)

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """The plan of a run that was begun in `folder`. Raises `ValueError` where there is none."""
        if not (folder / PLAN_FILE).is_file():
            raise ValueError(f"{folder} holds no run to go on with; start one without --resume")
        values = read_object(folder / PLAN_FILE)
        lessons = tuple(
            Lesson(**{**lesson, "config": TrainConfig.from_dict(lesson["config"])})
            for lesson in values["lessons"]
        )
        asked = values.get("asked", {})
        return cls(lessons=lessons, decoders=values["decoders"], asked=asked)

    @property
    def model(self) -> str:
        """What the run started from."""
        return self.lessons[-1].config.model.source

    def check_asked(self, **options: Any) -> None:
        """Raise `ValueError` for an option that is given (not None) and is not the plan's own."""
        changed = [
            f"{name} was {self.asked[name]!r}, is {value!r}"
            for name, value in options.items()
            if value is not None and self.asked.get(name, value) != value
        ]
        if changed:
            raise ValueError(
                f"a run goes on as it was planned: {'; '.join(changed)}. Leave these options out, "
                "or start another run in another folder"
            )

    @property
    def model_args(self) -> dict[str, Any]:
        """How the model is loaded: with new adapters, if decoders learn."""
        return dict(self.lessons[-1].config.model.args)

    def to_markdown(self, data: OwnData) -> str:
        """The plan as a table."""
        rows = {
            "data": f"{data.path}: {len(data.train)} conversations to train on, "
            f"{len(data.held_out)} held out, {data.stats.in_out}, "
            f"{data.stats.mean_turns:.1f} turns each",
            **({"captioned media": str(data.captioned)} if data.captioned else {}),
            **{f"left out: {why}": str(count) for why, count in data.left_out.items()},
            "what it knew": f"{len(data.keep)} conversations of {data.keep_path} are mixed in"
            if data.keep_path
            else "nothing is mixed in, so some will be forgotten; --keep OLD_DATA keeps it",
            "decoders": self.decoders,
        }
        lines = ["| plan | |", "|---|---|", *_lines(rows)]
        for lesson in self.lessons:
            lines += _lines(lesson.rows(data))
        return "\n".join(lines) + "\n"


def make_plan(
    data: OwnData,
    model: str | Path,
    output: str | Path,
    *,
    minutes: float | None = None,
    decoder_lora: bool | None = None,
    settings: tuple[str, ...] = (),
) -> Plan:
    """Choose lessons, length and rates for `data` and `model`, and try a few steps.

    `minutes` bounds the training itself. `decoder_lora`: whether adapters in the decoders learn
    what the data show; None means yes if they show pictures, clips or sounds. `settings` are
    ``a.b=value`` overrides of the configs. Raises `ValueError` for media that the model cannot read
    or make.
    """
    for setting in settings:
        if (name := setting.partition("=")[0].strip()) in _DECIDED:
            raise ValueError(
                f"{name} is for the plan to set, from --minutes and the data; leave out --set "
                f"{setting}, or use anyweave train stage3"
            )
    output = Path(output)
    loaded = NextGPT.from_pretrained(model, lazy_encoders=True)
    _check_media(loaded, data)
    able = [m for m in data.shown if hasattr(loaded.decoders[m], "denoiser_name")]
    # Without a held-out medium, nothing would say when the decoders have learned enough.
    possible = bool(able and data.showing and data.showing_held_out)
    learn = possible if decoder_lora is None else decoder_lora
    if learn and not possible:
        raise ValueError(
            f"{data.path} shows no pictures, clips or sounds that a decoder could learn, or none "
            "that is held out; leave out --decoder-lora, or give more data or --held-out"
        )
    args: dict[str, Any] = {"decoder_lora": {m: {} for m in sorted(able)}} if learn else {}
    config = _base(model, output, args)
    config = config.with_overrides(settings)
    planned = [_talking(config, loaded, data, learn)]
    if learn:
        planned.insert(0, _decoding(config))
    lessons = []
    for lesson, why in planned:
        about_decoders = lesson.stage.name == DECODER_TUNING.name
        source = data.showing if about_decoders else data.mixed
        fresh = NextGPT.from_pretrained(model, lazy_encoders=True, **lesson.model.args)
        seconds, gigabytes = _trial(fresh, lesson, source)
        effective = lesson.data.batch_size * lesson.grad_accumulation
        epochs = _DECODER_EPOCHS if about_decoders else _EPOCHS
        steps = math.ceil(epochs * len(source) / effective)
        if minutes is not None:
            share = 1.0 if not learn else _DECODER_SHARE if about_decoders else 1 - _DECODER_SHARE
            steps = min(steps, max(1, int(share * minutes * 60 / seconds)))
        check = max(1, steps // _CHECKS)
        lesson = replace(
            lesson,
            name=f"own-{data.path.stem}",
            steps=steps,
            checkpoint_every=check,
            sample_every=check,
            sample_prompts=("(held-out loss)",),
            output_dir=str(output / ("decoders" if about_decoders else "run")),
        )
        lessons.append(
            Lesson(config=lesson, why=why, seconds_per_step=seconds, gigabytes=gigabytes)
        )
    asked = {
        "model": str(model),
        "minutes": minutes,
        "decoder_lora": decoder_lora,
        "settings": list(settings),
    }
    why = _why(learn, decoder_lora, bool(data.shown))
    return Plan(lessons=tuple(lessons), decoders=why, asked=asked)


def _base(model: str | Path, output: Path, args: dict[str, Any]) -> TrainConfig:
    config = fine_tune(3, model)
    return replace(
        config,
        model=replace(config.model, args=args),
        epochs=None,
        steps=_TRIAL_STEPS,
        checkpoint_every=0,
        cache_dir=str(output / "cache"),
    )


def _talking(
    config: TrainConfig, model: NextGPT, data: OwnData, learn: bool
) -> tuple[TrainConfig, str]:
    """Reading, writing and calling for media. Where states condition the decoders, their adapters
    learn to take them from the output projectors.
    """
    stage = config.stage
    if any(data.stats.uses["user"].values()):  # what is shown is new too
        least = config.optimizer.learning_rate
        rates = dict(config.optimizer.learning_rates)
        rates["input_projectors"] = max(least, rates.get("input_projectors", least))
        config = replace(config, optimizer=replace(config.optimizer, learning_rates=rates))
    if learn and model.spec.bridge == "signal":
        rates = {"decoder_lora": _DECODER_RATE / 4, **config.optimizer.learning_rates}
        config = replace(
            config,
            stage=replace(stage, trainable=(*stage.trainable, "decoder_lora")),
            optimizer=replace(config.optimizer, learning_rates=rates),
            objective=replace(config.objective, denoising_fraction=1.0),
        )
        return config, "instructions; the decoders learn to follow the output projectors"
    if not data.shown:
        losses: dict[Loss, float] = {"lm": stage.losses["lm"]}
        kept = tuple(role for role in stage.trainable if role != "output_projectors")
        why = "the assistant shows no media here, so nothing about making them is trained"
        return replace(config, stage=replace(stage, losses=losses, trainable=kept)), why
    return config, "instructions: reading, writing and showing are learned together"


def _decoding(config: TrainConfig) -> tuple[TrainConfig, str]:
    """Learn from captions, whatever the bridge: output projectors are aligned to them, and no
    language model is needed.
    """
    rate = config.optimizer.learning_rates.get("decoder_lora", _DECODER_RATE)
    config = replace(
        config,
        stage=DECODER_TUNING,
        model=replace(config.model, args={**config.model.args, "bridge": "caption"}),
        optimizer=replace(
            config.optimizer,
            learning_rates={"decoder_lora": rate},
            weight_decay=0.0,
            decoupled_weight_decay=True,
            clip=1.0,
        ),
        objective=replace(config.objective, denoising_fraction=1.0),
        data=replace(config.data, batch_size=32),
    )
    why = "adapters in the decoders learn what the data show, from their captions"
    return config, why


def _why(learn: bool, asked: bool | None, shown: bool) -> str:
    if learn:
        return (
            "adapters in them learn (decoder_lora): frozen, they can only show what they know. "
            "--no-decoder-lora leaves them as they are"
        )
    if not shown:
        return "frozen: the data show no media"
    if asked is False:
        return "frozen, as asked"
    return (
        "frozen: no held-out conversation shows media that they could learn; give more data or a "
        "larger --held-out"
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


def _trial(
    model: NextGPT, config: TrainConfig, source: Sequence[Conversation]
) -> tuple[float, float]:
    """Seconds of a step and peak memory in GB. Discard the model afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        trial = replace(config, output_dir=str(Path(folder) / "trial"), log_every=1000)
        Trainer(model, trial, source).train()
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


def _lines(rows: Mapping[str, str]) -> list[str]:
    return [f"| {name} | {text} |" for name, text in rows.items()]
