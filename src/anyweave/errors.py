"""What to say about an unknown name, and what a known one refers to."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import Any


def nearest(name: object, known: Iterable[object], label: str = "known") -> str:
    """The known name that was probably meant, as a question; else all of them after `label`."""
    names = [str(one) for one in known]
    near = get_close_matches(str(name), names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"{label}: {', '.join(names)}"


def known_places(table: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Names with their ``module:attribute``, or with the object itself: ours, and the entry points
    of installed packages, which replace none of ours.
    """
    points = _installed(group, tuple(sys.path))
    return {point.name: point.value for point in points} | dict(table)


@lru_cache
def _installed(group: str, path: tuple[str, ...]) -> EntryPoints:
    """The entry points of a group on `path`, which is `sys.path`: reading them takes 30 ms."""
    return entry_points(group=group)


def resolve(name: str, table: Mapping[str, Any], *, what: str, group: str) -> Any:
    """The object that a name in `known_places` refers to; its module is imported only now.

    Raises `ValueError` for an unknown name, with the nearest known one or all of them.
    """
    # Ours are known without asking every installed package.
    places = table if name in table else known_places(table, group)
    if name not in places:
        raise ValueError(f"unknown {what} {name!r}; {nearest(name, places, f'known {what}s')}")
    if not isinstance(places[name], str):
        return places[name]
    module, _, attribute = places[name].partition(":")
    return getattr(import_module(module), attribute)
