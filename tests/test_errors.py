from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from anyweave import errors

TABLE = {"grouping": "collections:Counter", "linear": "collections:deque"}


def resolve(name: str) -> object:
    return errors.resolve(name, TABLE, what="thing", group="tests.things")


def test_a_name_leads_to_its_object() -> None:
    assert resolve("grouping").__name__ == "Counter"  # type: ignore[attr-defined]


def test_an_unknown_name_is_told_with_the_nearest_or_with_all() -> None:
    with pytest.raises(ValueError, match="unknown thing 'groupin'; did you mean 'grouping'?"):
        resolve("groupin")
    with pytest.raises(ValueError, match="unknown thing 'zzz'; known things: grouping, linear"):
        resolve("zzz")


def test_installed_packages_add_names_and_replace_none(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("linear", "collections:Counter", "tests.things"),
        EntryPoint("more", "collections:OrderedDict", "tests.things"),
    ]
    monkeypatch.setattr(errors, "_installed", lambda group, path: EntryPoints(points))
    assert resolve("more").__name__ == "OrderedDict"  # type: ignore[attr-defined]
    assert resolve("linear").__name__ == "deque"  # type: ignore[attr-defined]
