"""Bounds on a spec's values. A checkpoint may come from anywhere, so types, sizes and paths are
checked before anything is built from them.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

BOUNDS: Mapping[str, tuple[float, float]] = {
    "r": (1, 65_536),
    "alpha": (0, 1e6),
    "dropout": (0, 0.999),
    "feature_dim": (1, 1_000_000),
    "conditioning_tokens": (1, 65_536),
    "conditioning_dim": (1, 1_000_000),
    "guidance_scale": (0, 1e4),
    "num_inference_steps": (1, 10_000),
    "signal_tokens": (1, 10_000),
    "format_version": (0, 1_000_000),
}
_TEXT = 4096  # characters
_LONG_TEXT = 100_000
_LONG = ("system_prompt", "words")  # fields that may have so many characters
_NUMBER = 1_000_000  # in arguments: widths, lengths, rates
_LAYERS = 1000
_ITEMS, _DEPTH = 256, 6


def check_fields(value: Any, where: str) -> None:
    """Raise `ValueError` unless every field of a dataclass has its annotated type and is within the
    bounds for its name. Nested specs have already checked themselves.
    """
    hints = get_type_hints(type(value))
    for item in fields(value):
        found, name = getattr(value, item.name), f"{where}.{item.name}"
        if not _fits(found, hints[item.name]):
            got = f"{type(found).__name__} {shown(found)}"
            raise ValueError(f"{name} must be {_named(hints[item.name])}, got {got}")
        if item.name in ("args", "generate"):
            _check_arguments(found, name)
        elif isinstance(found, str):
            _check_text(found, name, _LONG_TEXT if item.name in _LONG else _TEXT)
        elif isinstance(found, (tuple, Mapping)) and len(found) > _ITEMS:
            raise ValueError(f"{name} has {len(found)} entries, at most {_ITEMS} make sense")
        for number in found.values() if isinstance(found, Mapping) else (found,):
            if item.name in BOUNDS and number is not None:
                _check_number(number, name, *BOUNDS[item.name])


def check_source(source: str, where: str) -> None:
    """Raise `ValueError` for an empty source, or a relative path that leaves its base folder."""
    path = PurePosixPath(source.replace("\\", "/"))
    if not source or not path.parts or "\0" in source:
        raise ValueError(f"{where} names nothing: {shown(source)}; give a folder or a hub id")
    if ".." in path.parts and not path.is_absolute():
        raise ValueError(
            f"{where} is {shown(source)}, which leaves the checkpoint's folder; put the part "
            "below it, or name an absolute path"
        )


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return isinstance(value, str)  # values are checked later, with a hint at the nearest
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(one, inner[0]) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items()
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _check_arguments(value: Any, where: str, depth: int = _DEPTH) -> None:
    if isinstance(value, Mapping) or isinstance(value, (list, tuple)):
        if depth == 0 or len(value) > _ITEMS:
            raise ValueError(f"{where} is nested too deep, or has too many entries")
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            if key == "trust_remote_code":
                raise ValueError(
                    f"{where} may not allow foreign code to run; whoever loads the model may, with "
                    "from_pretrained(..., trust_remote_code=True) or --trust-remote-code"
                )
            _check_arguments(item, f"{where}.{str(key)[:80]}", depth - 1)
    elif isinstance(value, str):
        _check_text(value, where, _TEXT)
    elif isinstance(value, (int, float)):
        layered = any(word in where.lower() for word in ("layers", "depth"))
        _check_number(value, where, -_NUMBER, _LAYERS if layered else _NUMBER)
    elif value is not None:
        raise ValueError(f"{where} must be a plain JSON value, got {type(value).__name__}")


def _check_text(text: str, where: str, most: int) -> None:
    if len(text) > most:
        raise ValueError(f"{where} has {len(text):,} characters, at most {most:,} make sense")


def _check_number(number: float, where: str, low: float, high: float) -> None:
    if not math.isfinite(number) or not low <= number <= high:
        bound = f"at most {high:g}" if number > high else f"at least {low:g}"
        raise ValueError(f"{where} must be {bound}, got {shown(number)}")


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def shown(value: Any) -> str:
    """A value for an error message; long ones are truncated."""
    text = repr(value)
    return text if len(text) < 100 else f"{text[:100]}..."
