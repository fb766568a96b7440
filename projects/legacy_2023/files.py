"""Weight files of others: opened without running code, mapped into memory and not read."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from anyweave.tensors import load_tensors


def open_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of one that torch wrote, by name.

    Raises `ValueError` for pickled code, and for anything but a flat mapping of names to tensors
    of floating point numbers.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    with path.open("rb") as file:
        if file.read(7) == b"version":
            raise ValueError(
                f"{path} is a pointer of Git LFS and not the file itself; run 'git lfs pull', or "
                "download it from the hub"
            )
    state = _load(path)
    if not isinstance(state, Mapping) or not state:
        raise ValueError(
            f"{path} holds a {type(state).__name__}, expected a mapping of names to tensors"
        )
    for name, value in state.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"{path}: {name!r} is of type {kind}, expected a tensor of floating point numbers; "
                f"its first names are {', '.join(map(str, list(state)[:4]))}"
            )
    return {name: value.detach() for name, value in state.items()}


def _load(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_tensors(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors, and loading it could run code that somebody put "
            f"there: refused. If you trust where it comes from, load it yourself and save its flat "
            f"state dict alone ({str(error).splitlines()[0]})"
        ) from error
    except (RuntimeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path} is damaged, incomplete or no weight file ({reason}); fetch it again"
        ) from error
