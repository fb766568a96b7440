"""Recipes: Python functions that return a full `TrainConfig`, selected by name.

Variants are made with `dataclasses.replace` or ``--set``; nobody writes a config file by hand.
"""

from __future__ import annotations

from importlib import import_module

from anyweave.errors import known_places, nearest
from anyweave.training.config import TrainConfig

RECIPES: dict[str, str] = {
    "tiny-1": "anyweave.training.recipes.tiny:stage1",
    "tiny-2": "anyweave.training.recipes.tiny:stage2",
    "tiny-3": "anyweave.training.recipes.tiny:stage3",
    "paper-7b-1": "anyweave.training.recipes.paper:stage1",
    "paper-7b-2": "anyweave.training.recipes.paper:stage2",
    "paper-7b-3": "anyweave.training.recipes.paper:stage3",
    "paper-7b-24gb-1": "anyweave.training.recipes.paper:stage1_24gb",
    "paper-7b-24gb-2": "anyweave.training.recipes.paper:stage2_24gb",
    "paper-7b-24gb-3": "anyweave.training.recipes.paper:stage3_24gb",
}


ENTRY_POINT_GROUP = "anyweave.recipes"


def recipes() -> dict[str, str]:
    """Every recipe by name as ``module:function``: ours, and those of installed packages."""
    return known_places(RECIPES, ENTRY_POINT_GROUP)


def load_recipe(name: str) -> TrainConfig:
    """A recipe's config, by name or by ``module:function``. Raises `ValueError` for an unknown
    name.
    """
    known = recipes()
    if ":" not in name and name not in known:
        raise ValueError(
            f"unknown recipe {name!r}; {nearest(name, known)} Your own is given as module:function"
        )
    module, _, function = known.get(name, name).partition(":")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no recipe function {name!r}: {error}") from error
    if not isinstance(made, TrainConfig):
        raise ValueError(f"recipe {name!r} returned {type(made).__name__}, not a TrainConfig")
    return made
