"""Options shared by several command groups, and how their values are parsed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="'emoji-mini', a folder, or a hub id.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust-remote-code", help="Run Python code that comes with a part of the model."
    ),
]
IndexOption = Annotated[
    Path | None,
    typer.Option(help="Media that may answer instead of new ones: what `index build` made."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier run of this left in --out.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def read_names(value: str | None) -> Any:
    """The names in a list like 'image,audio', as a tuple; None if the option is not given."""
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


def read_fields(value: str) -> dict[str, Any]:
    """The fields of a JSON object. Raises `ValueError` for anything else."""
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise ValueError(f"a JSON object is wanted, such as '{{\"seed\": 1}}', got {value!r}")
    return fields
