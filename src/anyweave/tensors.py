"""Tensors in safetensors files: one reader, whose every refusal is a `ValueError` naming the file,
and one writer of whole files. Nothing here runs code from a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from anyweave.files import whole_file

_SHOWN = 3  # names in an error


def load_tensors(
    path: str | Path,
    expected: Mapping[str, Tensor] | None = None,
    *,
    whose: str = "spec.json",
) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name, on the CPU.

    Args:
        expected: names, shapes and kinds (floating or not) that the file must have, no more and no
            fewer; stored floating tensors may be of another width.
        whose: who expects that, for the error.

    Raises `ValueError` if the file is missing, damaged, of another kind, or does not fit.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} is missing; fetch or write the whole folder again")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, MemoryError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} is damaged, incomplete or no safetensors file ({reason}); fetch or write it "
            "again"
        ) from error
    if expected is not None:
        _check(path, stored, expected, whose)
    return stored


@contextmanager
def explained(what: str, *, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Within the block, whatever a library raises for files that it cannot read (transformers,
    diffusers and tokenizers raise every kind of exception, tokenizers `Exception` itself) becomes a
    `ValueError` naming `what`; exceptions in `but` pass.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (ValueError, *but)):
            raise
        reason = " ".join(str(error).split())[:400]
        raise ValueError(
            f"{what} cannot be loaded ({type(error).__name__}: {reason}); its files are damaged, "
            "incomplete or of another kind: fetch or write the whole folder again"
        ) from error


@contextmanager
def foreign_code_explained(source: object) -> Iterator[None]:
    """Within the block, a refusal to run the Python code that comes with a model says how to allow
    it.
    """
    try:
        yield
    except (ValueError, ImportError) as error:
        if "trust_remote_code" not in str(error):
            raise
        raise ValueError(
            f"{source} comes with Python code of its own, which is not run: that code could do "
            "anything. If you trust where it comes from, pass trust_remote_code=True to "
            "from_pretrained, or --trust-remote-code (run, chat, demo, eval world)"
        ) from error


def check_complete(what: str, missing: Iterable[str]) -> None:
    """Raise `ValueError` if a model's files lack weights it needs: they would be random."""
    names = sorted(missing)
    if names:
        raise ValueError(
            f"{what}: its files lack {len(names)} tensors that it needs, for example "
            f"{', '.join(names[:_SHOWN])}; fetch or write the whole folder again"
        )


def save_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file, whole or not at all; tensors may have any device and strides."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as file:
        try:
            save_file(held, file.name, None if metadata is None else dict(metadata))
        except SafetensorError as error:
            system = re.search(r"os error (\d+)", str(error))
            if system is None:
                raise
            raise OSError(int(system[1]), os.strerror(int(system[1])), str(path)) from error


def _check(
    path: Path, stored: Mapping[str, Tensor], expected: Mapping[str, Tensor], whose: str
) -> None:
    missing = sorted(expected.keys() - stored.keys())
    unexpected = sorted(stored.keys() - expected.keys())
    if missing or unexpected:
        raise ValueError(
            f"{path} does not fit {whose}: {len(missing)} tensors missing {missing[:_SHOWN]}, "
            f"{len(unexpected)} unexpected {unexpected[:_SHOWN]}; weights and {whose} "
            "are of different models"
        )
    for name, own in expected.items():
        found = stored[name]
        if found.shape != own.shape:
            raise ValueError(
                f"{path}: {name} has shape {tuple(found.shape)}, {whose} makes it "
                f"{tuple(own.shape)}"
            )
        floating = own.is_floating_point()
        if found.is_floating_point() != floating or (not floating and found.dtype != own.dtype):
            raise ValueError(f"{path}: {name} is of type {found.dtype}, {whose} has {own.dtype}")
        if floating and not bool(torch.isfinite(found).all()):
            raise ValueError(
                f"{path}: {name} holds numbers that are not finite; the file is damaged, or was "
                "written by a training that diverged"
            )


def multiplies_bfloat16() -> bool:
    """Whether this machine has instructions for bfloat16. CPUs without them emulate it, several
    times slower than float32 (`benchmarks/bfloat16.py`).
    """
    if torch.accelerator.is_available():
        return True
    instructions = torch.cpu.get_capabilities()
    return any(instructions.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
