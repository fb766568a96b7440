"""A run on somebody's own data: the recipe that fits the model, and the data as a config names
them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from anyweave.data.place import ReadOptions
from anyweave.data.shards import names_shards
from anyweave.model.any_to_any import NextGPT
from anyweave.model.catalogue import is_spec_name
from anyweave.model.checkpoint import find_checkpoint, read_spec
from anyweave.training.config import DataConfig, TrainConfig
from anyweave.training.recipes import load_recipe, recipes

logger = logging.getLogger(__name__)
_EPOCHS = 3.0


def config_for(
    number: int, recipe: str | None, model: str | Path | NextGPT | None, *, own_data: bool
) -> TrainConfig:
    """The recipe that was named, else that of the model's family, else the paper's rates.

    A recipe that nobody named goes over one's own data three times. Raises `ValueError` for what
    leads nowhere.
    """
    if number not in (1, 2, 3):
        raise ValueError(f"a stage is 1, 2 or 3, got {number!r}")
    known = recipes()
    if recipe is not None or model is None:
        name = recipe or "tiny"
        return load_recipe(name if name in known or ":" in name else f"{name}-{number}")
    name = f"{_family(model)}-{number}"
    if name in known:
        config = load_recipe(name)
        logger.info("the recipe is %s", name)
    else:
        config = load_recipe(f"paper-7b-{number}")
        logger.info("there is no recipe %s: rates and losses are those of %s", name, config.name)
        # Without what is made for runs of weeks.
        data = replace(config.data, num_workers=0)
        config = replace(config, name=name, data=data, cache_dir=None)
    if own_data:  # the recipe's number of steps is for the recipe's data
        config = replace(config, steps=None, epochs=_EPOCHS)
    return config


def data_of(
    config: DataConfig, data: str | Path, format: str | None, read: ReadOptions
) -> DataConfig:
    """`config` with other data: a file, a data set or shards. What is not said is left out."""
    many = names_shards(data)
    source, key = ("stream", "data") if many else ("Records", "path")
    default = ReadOptions()
    said = {item.name: getattr(read, item.name) for item in fields(ReadOptions)}
    args: dict[str, Any] = {key: data, "format": format}
    args |= {name: value for name, value in said.items() if value != getattr(default, name)}
    args = {name: _plain(value) for name, value in args.items() if value is not None}
    return replace(config, source=f"anyweave.data:{source}", args=args)


def _family(model: str | Path | NextGPT) -> str:
    if isinstance(model, NextGPT):
        return model.spec.name
    if is_spec_name(model) or ":" in str(model):
        return str(model)
    return read_spec(find_checkpoint(model)).name


def _plain(value: Any) -> Any:
    """As JSON has it, so that the run's folder can tell."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value
