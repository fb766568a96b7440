"""Frozen encoders: media -> patch features. A name written in a spec is looked up in `ENCODERS`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from anyweave.encoders.protocol import Encoder

ENCODERS: dict[str, str] = {
    "imagebind": "anyweave.encoders.imagebind:ImageBind",
    "transformers": "anyweave.encoders.transformers_backbone:TransformersBackbone",
}
ENTRY_POINT_GROUP = "anyweave.encoders"

__all__ = ["ENCODERS", "Encoder", "resolve"]


def resolve(name: str) -> Any:
    """The encoder class called `name`, ours or an installed package's entry point. Imported only
    now.

    Raises `ValueError` listing the known names.
    """
    if name in ENCODERS:
        module, _, attribute = ENCODERS[name].partition(":")
        return getattr(import_module(module), attribute)
    foreign = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in foreign:
        return foreign[name].load()
    known = ", ".join(sorted([*ENCODERS, *foreign]))
    raise ValueError(f"unknown encoder {name!r}; known encoders: {known}")
