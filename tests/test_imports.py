"""Every module imports on its own, and importing what knows no tensor loads no torch."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

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
