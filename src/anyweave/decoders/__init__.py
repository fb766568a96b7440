"""Frozen latent diffusion decoders: conditioning -> media, and captions -> the conditioning to aim
at.

`DECODERS` names what a spec may ask for; third parties add names through the entry point group
``anyweave.decoders``. Nothing heavy is imported until a name is resolved.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

DECODERS: dict[str, str] = {
    "latent_diffusion": "anyweave.decoders.latent_diffusion:LatentDiffusion",
}
ENTRY_POINTS = "anyweave.decoders"


def resolve(name: str) -> Any:
    """The decoder class called `name`. Raises `ValueError` for an unknown name, naming the known
    ones.
    """
    table = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)} | DECODERS
    if name not in table:
        near = difflib.get_close_matches(name, table, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown decoder {name!r}; {hint}known: {', '.join(sorted(table))}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
