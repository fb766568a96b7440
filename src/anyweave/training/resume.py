"""Training checkpoints: ``checkpoints/step-N/`` with what trains, the optimizer and the position.
Never pickle.

    trained.safetensors     "role.name" -> tensor
    optimizer.safetensors   "role.name|state" -> tensor
    state.json              steps done, counters, the resolved config

The data position and all randomness follow from the step number (see `plan`), so nothing else is
needed to go on exactly. A folder is written under another name and renamed: a checkpoint that
exists is whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from anyweave.model.any_to_any import Role

TRAINED, OPTIMIZER, STATE = "trained.safetensors", "optimizer.safetensors", "state.json"
_FREE = {  # what may differ between the two halves of a run without changing its losses
    "name", "output_dir", "cache_dir", "checkpoint_every", "keep", "sample_every", "log_every",
    "sample_prompts", "max_bad_steps", "data.num_workers", "model.source", "model.args",
    # `BatchPlan.order` keeps the steps, however they are divided.
    "data.batch_size", "grad_accumulation", "data.max_padded_tokens",
}  # fmt: skip
Parameters = Mapping[Role, Mapping[str, nn.Parameter]]


@dataclass
class Progress:
    """How far a run is. `step` optimizer steps are done; the rest is told in the report."""

    step: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    moved: int = 0
    """Steps in which anything that trains had a gradient."""
    samples: int = 0
    tokens: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """Problems of items that were left out, and how often."""
    cut: dict[str, int] = field(default_factory=dict)
    """Conversations that were longer than `data.max_length`, and the tokens and media lost of them,
    counted each time they came.
    """
    order: list[int] = field(default_factory=list)
    """`BatchPlan.order`, as the run was begun."""
    data: str = ""
    """`data_identity` of what it reads."""


def save_checkpoint(
    run: Path,
    parameters: Parameters,
    optimizer_state: Mapping[str, Tensor],
    progress: Progress,
    config: Mapping[str, Any],
    *,
    keep: int,
) -> Path:
    """Write ``step-N`` and remove all but the newest `keep` checkpoints.

    `optimizer_state`: as `optimizer_state` gives it.
    """
    folder = run / "checkpoints" / f"step-{progress.step:07d}"
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(_trained(parameters), str(partial / TRAINED))
    save_file(dict(optimizer_state), str(partial / OPTIMIZER))
    state = {"format_version": 1, "progress": asdict(progress), "config": config}
    (partial / STATE).write_text(json.dumps(state, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    for old in checkpoints(run)[:-keep]:
        shutil.rmtree(old)
    return folder


def checkpoints(run: Path) -> list[Path]:
    """The whole checkpoints of a run folder, oldest first."""
    return sorted(path for path in (run / "checkpoints").glob("step-*") if (path / STATE).is_file())


def load_checkpoint(
    folder: Path,
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
) -> Progress:
    """Put a checkpoint's weights and optimizer state in place and say where the run stood.

    Raises `ValueError` when the run was made with another config or has other parameters.
    """
    state = json.loads((folder / STATE).read_text())
    _check_same_run(folder, state["config"], config)
    stored = load_file(str(folder / TRAINED))
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
    _load_optimizer_state(optimizer, load_file(str(folder / OPTIMIZER)))
    return Progress(**state["progress"])


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
        # Adam counts steps on the CPU, whatever the device of the moments.
        place = value if entry == "step" else value.to(parameter.device)
        optimizer.state[parameter][entry] = place


def _check_same_run(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
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
