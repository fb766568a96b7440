"""Recipes: Python functions that return a full `TrainConfig`. Names are what people type; the rest
is a value.

Variants are made with `dataclasses.replace` or ``--set``; nobody writes a config file by hand.
"""

from __future__ import annotations

import difflib
from importlib import import_module

from anyweave.training.config import TrainConfig

RECIPES: dict[str, str] = {
    "tiny-1": "anyweave.training.recipes.tiny:stage1",
    "tiny-2": "anyweave.training.recipes.tiny:stage2",
    "tiny-3": "anyweave.training.recipes.tiny:stage3",
    "emoji-mini-1": "anyweave.training.recipes.emoji_mini:stage1",
    "emoji-mini-2": "anyweave.training.recipes.emoji_mini:stage2",
    "emoji-mini-3": "anyweave.training.recipes.emoji_mini:stage3",
    "emoji-mini-mosit": "anyweave.training.recipes.emoji_mini:mosit",
    "paper-7b-1": "anyweave.training.recipes.paper:stage1",
    "paper-7b-2": "anyweave.training.recipes.paper:stage2",
    "paper-7b-3": "anyweave.training.recipes.paper:stage3",
    "paper-7b-24gb-1": "anyweave.training.recipes.paper:stage1_24gb",
    "paper-7b-24gb-2": "anyweave.training.recipes.paper:stage2_24gb",
    "paper-7b-24gb-3": "anyweave.training.recipes.paper:stage3_24gb",
}


def load_recipe(name: str) -> TrainConfig:
    """The config of a recipe by name, or by ``module:function``. Raises `ValueError` for an unknown
    name.
    """
    if ":" not in name and name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"unknown recipe {name!r}; {hint}there are {', '.join(RECIPES)}, or give your own "
            f"as module:function"
        )
    module, _, function = RECIPES.get(name, name).partition(":")
    try:
        made = getattr(import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"no recipe function {name!r}: {error}") from error
    if not isinstance(made, TrainConfig):
        raise ValueError(f"recipe {name!r} returned {type(made).__name__}, not a TrainConfig")
    return made
