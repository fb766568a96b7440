"""Trained bridges: patch features -> language tokens, signal states -> decoder conditioning.

Plain modules with flat arguments. Names in a spec are looked up in `INPUT_PROJECTORS` or
`OUTPUT_PROJECTORS`; installed packages add theirs through the entry point groups below.
"""

from __future__ import annotations

from typing import Any, Literal

from anyweave import errors

INPUT_PROJECTORS: dict[str, str] = {
    "grouping": "anyweave.projectors.grouping:GroupingProjector",
    "linear": "anyweave.projectors.linear:LinearProjector",
    "qformer": "anyweave.projectors.qformer:QFormerProjector",
}
OUTPUT_PROJECTORS: dict[str, str] = {
    "linear": "anyweave.projectors.linear:LinearOutputProjector",
    "mixing": "anyweave.projectors.mixing:MixingOutputProjector",
    "transformer": "anyweave.projectors.transformer:TransformerOutputProjector",
}
ENTRY_POINT_GROUPS = {
    "input": "anyweave.input_projectors",
    "output": "anyweave.output_projectors",
}

__all__ = ["ENTRY_POINT_GROUPS", "INPUT_PROJECTORS", "OUTPUT_PROJECTORS", "resolve"]


def resolve(kind: Literal["input", "output"], name: str) -> Any:
    """The projector class called `name`; imported only now. `ValueError` lists the known names."""
    tables = {"input": INPUT_PROJECTORS, "output": OUTPUT_PROJECTORS}
    if kind not in tables:
        raise ValueError(f"a projector is of kind input or output, got {kind!r}")
    group = ENTRY_POINT_GROUPS[kind]
    return errors.resolve(name, tables[kind], what=f"{kind} projector", group=group)
