"""Every module imports on its own, and importing what knows no tensor loads no torch."""

from __future__ import annotations

import ast
import graphlib
import importlib
import importlib.util
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("anyweave", "anyweave_making", "emoji_mini", "legacy_2023")
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    if not module.name.endswith("__main__")
)


def test_modules_import_and_say_what_they_are() -> None:
    silent = [name for name in MODULES if not importlib.import_module(name).__doc__]
    assert silent == [], "a module needs a docstring: one sentence that states its contract"


@pytest.mark.parametrize("name", ["anyweave", "anyweave.messages"])
def test_imports_without_torch(name: str) -> None:
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"import {name} loads torch {done.stderr}"


def test_no_import_circle() -> None:
    """Also counting imports within functions. Whoever asks the front door asks for a name, which it
    finds when everything is there.
    """
    library = [name for name in MODULES if name.startswith("anyweave")]
    order = graphlib.TopologicalSorter({name: _imports(name) for name in library})
    order.prepare()  # a circle is an error here that shows it


def _imports(name: str) -> set[str]:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    package = name if spec.submodule_search_locations else name.rpartition(".")[0]
    found: set[str] = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            inner = {f"{base}.{alias.name}" for alias in node.names}
            found |= inner & set(MODULES)
            found |= {base} if inner - set(MODULES) else set()
    return found & set(MODULES)


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers read."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _running(child)
