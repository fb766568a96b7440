"""Training checkpoints: ``checkpoints/step-N/`` with trained weights, optimizer and position. Never
pickle.

    trained.safetensors     "role.name" -> tensor
    optimizer.safetensors   "role.name|state" -> tensor
    state.json              steps done, counters, the resolved config; the hash of every file

The data position and all randomness follow from the step number (see `plan`), so nothing else is
needed to resume exactly. Checkpoints are written atomically. If one was damaged later, a warning
says so and the previous one is used.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from anyweave.files import file_digest, read_object, replaced_folder, settle, write_json
from anyweave.tensors import load_tensors, save_tensors

logger = logging.getLogger(__name__)

TRAINED, OPTIMIZER, STATE = "trained.safetensors", "optimizer.safetensors", "state.json"
_FREE = {  # settings that may change on resuming without changing the losses
    "name", "output_dir", "cache_dir", "checkpoint_every", "keep", "sample_every", "log_every",
    "sample_prompts", "max_bad_steps", "data.num_workers", "model.source", "model.args",
    # `BatchPlan.order` keeps the steps the same, however they are divided.
    "data.batch_size", "grad_accumulation", "data.max_padded_tokens",
}  # fmt: skip
Parameters = Mapping[str, Mapping[str, nn.Parameter]]
"""By role or "contrast_heads", then by name."""


@dataclass
class Counters:
    """A run's progress. `step` is the number of finished optimizer steps."""

    step: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    moved: int = 0
    """Steps in which any trained parameter had a nonzero gradient."""
    samples: int = 0
    tokens: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Problems of skipped items, and how often each occurred."""
    cut: dict[str, int] = field(default_factory=dict)
    """Conversations longer than `data.max_length`, and the tokens and media they lost, counted each
    time they occur.
    """
    order: list[int] = field(default_factory=list)
    """`BatchPlan.order` at the start of the run."""
    data: str = ""
    """`data_identity` of the source."""
    frozen: str = ""
    """`NextGPT.weights_sha256` of the roles that do not train; "" if the run is older than this."""


class DamagedError(ValueError):
    """A checkpoint that was changed after it was written, or cannot be read."""


def save_checkpoint(
    run: Path,
    parameters: Parameters,
    optimizer_state: Mapping[str, Tensor],
    progress: Counters,
    config: Mapping[str, Any],
    *,
    keep: int,
) -> Path:
    """Write ``step-N`` and remove all but the newest `keep` checkpoints.

    `optimizer_state`: from the function `optimizer_state`.
    """
    folder = run / "checkpoints" / f"step-{progress.step:07d}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(folder) as fresh:
        save_tensors(_trained(parameters), fresh / TRAINED)
        save_tensors(optimizer_state, fresh / OPTIMIZER)
        state = {"format_version": 1, "progress": asdict(progress), "config": config}
        state["sha256"] = {name: file_digest(fresh / name) for name in (TRAINED, OPTIMIZER)}
        write_json(fresh / STATE, state | {"sha256_of_state": _state_digest(state)})
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return folder


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run folder, oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("step-*") if path.is_dir())


def load_newest(
    folders: Sequence[Path],
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
) -> Counters:
    """`load_checkpoint` of the newest of `folders` that is not damaged, with a warning for each
    damaged one.

    Raises `ValueError` if all are damaged, or an undamaged one belongs to another run.
    """
    told = []
    for folder in reversed(folders):
        try:
            return load_checkpoint(folder, parameters, optimizer, config)
        except DamagedError as error:
            told.append(str(error))
            logger.warning("%s: trying the checkpoint before it", error)
    raise ValueError(
        f"no checkpoint of {folders[0].parent.parent} can be continued: {'; '.join(told)}. Start a "
        "new run in another output_dir"
    )


def load_checkpoint(
    folder: Path,
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
) -> Counters:
    """Load a checkpoint's weights and optimizer state, and return the run's progress.

    Raises `DamagedError` if it is damaged, `ValueError` if the run has another config or other
    parameters.
    """
    state, stored, moments = _read(folder)
    check_same_run(folder, state["config"], config)
    current = {
        f"{role}.{name}": p for role, named in parameters.items() for name, p in named.items()
    }
    if stored.keys() != current.keys():
        odd = sorted(stored.keys() ^ current.keys())
        raise ValueError(
            f"{folder} trains other parameters than this model, for example {odd[0]!r}; use the "
            f"same model"
        )
    with torch.no_grad():
        for name, parameter in current.items():
            if stored[name].shape != parameter.shape:
                raise ValueError(
                    f"{folder}: {name!r} has shape {tuple(stored[name].shape)}, this model's is "
                    f"{tuple(parameter.shape)}"
                )
            parameter.copy_(stored[name])
    _load_optimizer_state(optimizer, moments)
    return Counters(**state["progress"])


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    """State, weights and optimizer state, after checking all hashes."""
    try:
        settle(folder)
        state = read_object(folder / STATE)
        hashes = state.get("sha256")
        if hashes is None:
            logger.warning(
                "%s was written by an older version: damage to it would not be noticed", folder
            )
        else:
            own = state.pop("sha256_of_state", None)
            if own != _state_digest(state):
                raise ValueError(f"{folder / STATE} is damaged: it is not as it was written")
            for name, expected in hashes.items():
                if file_digest(folder / name) != expected:
                    raise ValueError(f"{folder / name} is damaged: its sha256 is another")
        missing = {"config", "progress"} - state.keys()
        if missing:
            raise ValueError(f"{folder / STATE} lacks {', '.join(sorted(missing))}")
        return state, load_tensors(folder / TRAINED), load_tensors(folder / OPTIMIZER)
    except (ValueError, OSError) as error:
        raise DamagedError(str(error)) from error


def _state_digest(state: Mapping[str, Any]) -> str:
    text = json.dumps(state, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _trained(parameters: Parameters) -> dict[str, Tensor]:
    return {
        f"{role}.{name}": parameter.detach().cpu().contiguous().clone()
        for role, named in parameters.items()
        for name, parameter in named.items()
    }


def _named(optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    }


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's tensors as "role.name|entry", on the CPU."""
    return {
        f"{name}|{key}": value.detach().cpu().contiguous().clone()
        for name, parameter in _named(optimizer).items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer_state(optimizer: torch.optim.Optimizer, stored: Mapping[str, Tensor]) -> None:
    named = _named(optimizer)
    for key, value in stored.items():
        name, _, entry = key.rpartition("|")
        parameter = named[name]
        # Adam's step counter stays on the CPU, whatever device the moments are on.
        place = value if entry == "step" else value.to(parameter.device)
        optimizer.state[parameter][entry] = place


def check_same_run(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise `ValueError` naming the differences unless a run with config `now` can continue one
    with config `then`.
    """
    before, after = _flat(then), _flat(now)
    changed = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
        and not any(key == f or key.startswith(f"{f}.") for f in _FREE)
    ]
    if changed:
        raise ValueError(
            f"cannot continue {folder} exactly, the config differs: {'; '.join(changed)}. Use "
            f"the old values, or start a "
            "new run in another output_dir"
        )


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
