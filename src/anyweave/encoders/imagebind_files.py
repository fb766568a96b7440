"""Weight files of ImageBind: read without running code, sorted by tower, loaded key by key."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from anyweave.tensors import load_tensors

logger = logging.getLogger(__name__)

# Names in the public file are {group}.{tower}.{rest}.
GROUPS = (
    "modality_preprocessors",
    "modality_trunks",
    "modality_heads",
    "modality_postprocessors",
)
PUBLIC_TOWERS = ("vision", "audio", "text", "depth", "thermal", "imu")
_SHOWN = 8  # names per list in an error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a ``.pth`` loaded as weights only and
    memory-mapped, so that unused towers are never read.

    Raises `ValueError` for another kind of file, one that holds more than tensors, or one that is
    not a flat state dict.
    """
    if path.suffix == ".safetensors":
        return load_tensors(path)
    if path.suffix not in (".pth", ".pt", ".bin"):
        raise ValueError(f"{path} is neither .safetensors nor .pth")
    try:
        # Files in PyTorch's old format cannot be mapped.
        state = torch.load(
            path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path)
        )
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(
            f"{path} holds more than tensors, or is damaged; it was not loaded, because unpickling "
            "other things can run code. The public file is imagebind_huge.pth"
        ) from error
    flat = isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())
    if not flat:
        raise ValueError(
            f"{path} is not a flat state dict of tensors; save model.state_dict() itself"
        )
    return dict(state)


def tower_of(key: str) -> str | None:
    """The tower a parameter of the public file belongs to; None for any other name."""
    group, _, rest = key.partition(".")
    tower = rest.partition(".")[0]
    return tower if group in GROUPS and tower in PUBLIC_TOWERS else None


def load_strictly(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    towers: Sequence[str],
    dtype: torch.dtype,
    where: str,
) -> dict[str, int]:
    """Load the tensors of `towers` into `model`, which may be on the meta device; floating-point
    tensors become `dtype`.

    Returns how many tensors were left out per tower: only other towers of the public file may be.
    Raises `ValueError` listing every mismatch: missing names, unexpected names and wrong shapes.
    """
    others = {key: tower for key in state if (tower := tower_of(key)) and tower not in towers}
    kept = {key: value for key, value in state.items() if key not in others}
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    problems = {
        "missing": [key for key in wanted if key not in kept],
        "unexpected": [key for key in kept if key not in wanted],
        "of another shape": [
            f"{key} ({list(kept[key].shape)}, expected {list(shape)})"
            for key, shape in wanted.items()
            if key in kept and tuple(kept[key].shape) != shape
        ],
    }
    if any(problems.values()):
        lists = "; ".join(_listed(kind, names) for kind, names in problems.items() if names)
        raise ValueError(
            f"{where} is not an ImageBind of these sizes: {lists}. Towers asked for: "
            f"{', '.join(towers)}; only {', '.join(t for t in PUBLIC_TOWERS if t not in towers)} "
            "may be left out"
        )
    model.load_state_dict(
        {key: v.to(dtype) if v.is_floating_point() else v for key, v in kept.items()},
        strict=True,
        assign=True,
    )
    left_out = dict(Counter(others.values()))
    if left_out:
        named = ", ".join(f"{tower} ({count} tensors)" for tower, count in left_out.items())
        logger.info("%s: left out %s", where, named)
    return left_out


def _listed(kind: str, names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {kind}: {', '.join(names[:_SHOWN])}{more}"
