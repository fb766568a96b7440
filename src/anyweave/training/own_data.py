"""Puts a user's own data into a run's config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions
from anyweave.data.tables import names_shards
from anyweave.training.config import DataConfig


def data_of(
    config: DataConfig, data: str | Path, format: str | None, read: ReadOptions
) -> DataConfig:
    """`config` with other data: a file, a data set or shards. Default values are left out."""
    many = names_shards(data)
    source, key = ("stream", "data") if many else ("Records", "path")
    default = ReadOptions()
    said = {item.name: getattr(read, item.name) for item in fields(ReadOptions)}
    args: dict[str, Any] = {key: data, "format": format}
    args |= {name: value for name, value in said.items() if value != getattr(default, name)}
    args = {name: _plain(value) for name, value in args.items() if value is not None}
    return replace(config, source=f"anyweave.data:{source}", args=args)


def _plain(value: Any) -> Any:
    """A JSON value, so that the run folder can store it."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value
