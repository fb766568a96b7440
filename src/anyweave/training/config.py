"""The config of one training run: a frozen tree that a recipe returns and the run folder keeps as
``config.json``.

Defaults are the paper's (Table 7) where it gives a value. `with_overrides` applies
``--set a.b=value`` strictly.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from anyweave.errors import nearest
from anyweave.messages import MEDIA_MODALITIES, Modality
from anyweave.model.roles import ROLES, TrainedRole
from anyweave.training.stages import ENCODING_ALIGNMENT, STAGES, Stage

Precision = Literal["fp32", "bf16"]
Schedule = Literal["linear", "cosine", "constant"]
AlignmentMode = Literal["euclidean", "mse"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Where the model to train comes from: an embedded name, a folder or a hub id."""

    source: str
    args: Mapping[str, Any] = field(default_factory=dict)
    """Options of `NextGPT.from_pretrained`."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Where conversations come from and how they are batched."""

    source: str
    """"module:function"; the function returns a sequence of conversations."""
    args: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = 4
    """Conversations per process and micro-batch."""
    max_padded_tokens: int = 8192
    """Limit per forward: a larger micro-batch is run in parts of similar-length conversations.
    Bounds memory; the step's losses and gradients stay the same.
    """
    max_length: int = 512
    """Tokens; longer conversations are truncated, before the first medium that would not fit."""
    bucketing: bool = True
    """Batch conversations of similar length together, in windows of `bucket_window` batches."""
    bucket_window: int = 32
    shuffle: bool = True
    num_workers: int = 0
    """Processes that read and render conversations; 0 is the training process itself."""

    def __post_init__(self) -> None:
        counts = ("batch_size", "max_padded_tokens", "max_length", "bucket_window")
        _at_least(self, "data", 1, *counts)
        _at_least(self, "data", 0, "num_workers")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam as in the paper's Table 7."""

    learning_rate: float = 4e-4
    learning_rates: Mapping[TrainedRole, float] = field(default_factory=dict)
    """Per role, where it differs from `learning_rate`."""
    warmup_ratio: float = 0.1
    schedule: Schedule = "linear"
    weight_decay: float = 1e-3
    decoupled_weight_decay: bool = False
    """True is AdamW."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip: float = 1.0
    """Largest gradient norm; 0 does not clip."""

    def __post_init__(self) -> None:
        _at_least(self, "optimizer", 0, "learning_rate", "weight_decay", "clip")
        _one_of("optimizer.schedule", self.schedule, get_args(Schedule))
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"optimizer.warmup_ratio must be in [0, 1), got {self.warmup_ratio}")
        for role in self.learning_rates:
            _one_of("optimizer.learning_rates", role, ROLES)

    def rate(self, role: str) -> float:
        """The peak learning rate of a role; of heads that belong to the run, the general one."""
        named = (rate for name, rate in self.learning_rates.items() if name == role)
        return next(named, self.learning_rate)


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """How the generation losses are computed. The stage sets their overall weights."""

    alignment_mode: AlignmentMode = "mse"
    """"euclidean" is the unsquared distance of the reference, "mse" the mean squared difference."""
    alignment_weights: Mapping[Modality, float] = field(default_factory=dict)
    """Per modality, default 1: text encoders differ in scale (token norm 33 for CLIP-H, 1 for
    CLAP).
    """
    contrast_conversations: int = 2000
    """So many conversations of the run give the captions that the contrast loss tells apart."""
    contrast_temperature: float = 0.07
    denoising_weights: Mapping[Modality, float] = field(default_factory=dict)
    denoising_fraction: float = 1.0
    """Share of steps that compute the denoising loss, spread evenly; it is by far the costliest."""
    snr_gamma: float | None = 5.0
    """Min-SNR weighting of the denoising loss; None weights all timesteps equally."""

    def __post_init__(self) -> None:
        _one_of("objective.alignment_mode", self.alignment_mode, get_args(AlignmentMode))
        for name in ("alignment_weights", "denoising_weights"):
            for modality in getattr(self, name):
                _one_of(f"objective.{name}", modality, MEDIA_MODALITIES)
        _at_least(self, "objective", 2, "contrast_conversations")
        if self.contrast_temperature <= 0:
            raise ValueError(
                f"objective.contrast_temperature must be above 0, got {self.contrast_temperature}"
            )
        if not 0 <= self.denoising_fraction <= 1:
            raise ValueError(
                f"objective.denoising_fraction must be in [0, 1], got {self.denoising_fraction}"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One run. Exactly one of `steps` and `epochs` is set."""

    name: str
    stage: Stage = ENCODING_ALIGNMENT
    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    steps: int | None = None
    """Optimizer steps."""
    epochs: float | None = None
    grad_accumulation: int = 1
    precision: Precision = "fp32"
    """"bf16" runs the forward under autocast. A model whose frozen base is already bfloat16 needs
    no autocast.
    """
    gradient_checkpointing: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    """Steps; 0 saves only at the end and on interruption."""
    keep: int = 2
    """How many checkpoints to keep."""
    sample_every: int = 0
    """Steps between sample replies in ``samples/``; 0 is never."""
    sample_prompts: tuple[str, ...] = ()
    log_every: int = 10
    max_bad_steps: int = 5
    """Stop after this many consecutive non-finite steps."""
    cache_dir: str | None = None
    """Folder of frozen features, caption embeddings and latents; None keeps captions in memory
    only.
    """
    output_dir: str

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError(
                f"set exactly one of steps and epochs, got steps={self.steps} epochs={self.epochs}"
            )
        if (self.steps if self.steps is not None else self.epochs or 0) <= 0:
            raise ValueError(
                f"nothing to do: steps={self.steps} epochs={self.epochs}; give a number above 0"
            )
        _one_of("precision", self.precision, get_args(Precision))
        _at_least(self, "", 1, "grad_accumulation", "keep", "log_every", "max_bad_steps")
        _at_least(self, "", 0, "checkpoint_every", "sample_every")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` restores an equal config."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Read strictly. Raises `ValueError` naming an unknown key and its nearest known ones."""
        return _build(cls, values, "")

    def with_overrides(self, assignments: Sequence[str]) -> TrainConfig:
        """Apply ``a.b=value`` strings, each value read as the type of its field.

        ``stage=instruction_tuning`` chooses a whole stage by name; setting one of `steps` and
        `epochs` unsets the other. Raises `ValueError` for an unknown key or a value of the wrong
        type.
        """
        config = self
        for assignment in assignments:
            key, separator, text = assignment.partition("=")
            if not separator:
                raise ValueError(
                    f"--set takes key=value, got {assignment!r}; for example --set "
                    f"optimizer.clip=0.5"
                )
            key, text = key.strip(), text.strip()
            if key in _EXCLUSIVE:
                value = _convert(_parse(text), get_type_hints(TrainConfig)[key], key)
                config = replace(config, **{_EXCLUSIVE[key]: None, key: value})
            else:
                config = _assign(config, key.split("."), text, key)
        return config


_EXCLUSIVE = {"steps": "epochs", "epochs": "steps"}


def _assign(node: Any, path: list[str], text: str, key: str) -> Any:
    name, rest = path[0], path[1:]
    hints = get_type_hints(type(node))
    _known(name, [item.name for item in fields(node)], key)
    current = getattr(node, name)
    if name == "stage" and not rest:
        _one_of("stage", text, tuple(STAGES))
        return replace(node, stage=STAGES[text])
    if not rest:
        return replace(node, **{name: _convert(_parse(text), hints[name], key)})
    if is_dataclass(current):
        return replace(node, **{name: _assign(current, rest, text, key)})
    if isinstance(current, Mapping):
        value_type = get_args(hints[name])[1]
        value = _convert(_parse(text), value_type, key)
        return replace(node, **{name: {**current, ".".join(rest): value}})
    raise ValueError(
        f"{key}: {name!r} is a plain value and has no part {rest[0]!r}; set {name}=... itself"
    )


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


def _build(cls: type, values: Mapping[str, Any], where: str) -> Any:
    hints = get_type_hints(cls)
    names = [item.name for item in fields(cls)]
    built = {}
    for name, value in values.items():
        key = f"{where}{name}"
        _known(name, names, key)
        hint = hints[name]
        built[name] = (
            _build(hint, value, f"{key}.")
            if isinstance(hint, type) and is_dataclass(hint)
            else _convert(value, hint, key)
        )
    try:
        return cls(**built)
    except TypeError as error:
        missing = [name for name in names if name not in values]
        raise ValueError(
            f"{where or 'config '}lacks a required key ({error}); not given: {missing}"
        ) from error


def _convert(value: Any, hint: Any, key: str) -> Any:
    """`value` as the annotated type, or a `ValueError`; strings are not parsed as numbers."""
    origin, options = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in options:
            return None
        return _convert(value, next(option for option in options if option is not type(None)), key)
    if origin is Literal:
        _one_of(key, value, options)
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        inner = options[0]
        if options[-1] is not Ellipsis and len(value) != len(options):
            raise ValueError(f"{key} takes {len(options)} values, got {len(value)}")
        return tuple(_convert(item, inner, key) for item in value)
    if origin is not None and isinstance(value, Mapping):
        return {
            _convert(name, options[0], key): _convert(item, options[1], f"{key}.{name}")
            for name, item in value.items()
        }
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if (
        isinstance(hint, type)
        and isinstance(value, hint)
        and not (hint is int and isinstance(value, bool))
    ):
        return value
    raise ValueError(f"{key} takes {getattr(hint, '__name__', hint)}, got {value!r}")


def _known(name: str, names: Sequence[str], key: str) -> None:
    if name not in names:
        raise ValueError(f"unknown config key {key!r}; {nearest(name, names)}")


def _one_of(key: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise ValueError(f"{key}: unknown value {value!r}; {nearest(value, known, 'it takes')}")


def _at_least(node: Any, where: str, least: float, *names: str) -> None:
    for name in names:
        if getattr(node, name) < least:
            key = f"{where}.{name}" if where else name
            raise ValueError(f"{key} must be at least {least}, got {getattr(node, name)}")
