"""Frozen encoders: media -> patch features, or words. `ENCODERS` resolves the names in a spec."""

from __future__ import annotations

from typing import Any

from anyweave import errors
from anyweave.encoders.protocol import Encoder
from anyweave.modalities import brought

ENCODERS: dict[str, str] = {
    "captioner": "anyweave.encoders.captioner:Captioner",
    "imagebind": "anyweave.encoders.imagebind:ImageBind",
    "transformers": "anyweave.encoders.transformers_backbone:TransformersBackbone",
}
ENTRY_POINT_GROUP = "anyweave.encoders"

__all__ = ["ENCODERS", "Encoder", "resolve"]


def resolve(name: str) -> Any:
    """The encoder class called `name`, ours or from an installed package's entry point. Imported
    only now.

    Raises `ValueError` listing the known names.
    """
    return errors.resolve(
        name, {**brought("encoder"), **ENCODERS}, what="encoder", group=ENTRY_POINT_GROUP
    )
