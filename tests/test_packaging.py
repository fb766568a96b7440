"""What pyproject.toml promises: pins for every dependency, a reason on its line, and a stdlib-only
environment maker."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def requirements(root: Path) -> list[Requirement]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        lines += extra
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != project["name"]]


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_dependency_is_pinned_within_its_range(
    requirements: list[Requirement], pins: dict[str, str]
) -> None:
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name}: run tools/pins.py"
        assert requirement.specifier.contains(pins[name]), f"{requirement} against {pins[name]}"


def test_every_dependency_says_why(requirements: list[Requirement], root: Path) -> None:
    text = (root / "pyproject.toml").read_text()
    for requirement in requirements:
        line = rf'^  "{re.escape(requirement.name)}[\[><=].*", +# \w+'
        assert re.search(line, text, flags=re.MULTILINE), f"{requirement.name} has no reason"


def test_every_import_of_the_library_is_declared(
    requirements: list[Requirement], root: Path
) -> None:
    distributions = {"PIL": "pillow"}
    declared = {canonicalize_name(requirement.name) for requirement in requirements}
    ours = {"anyweave", "anyweave_making", "emoji_mini", "legacy_2023"}
    ours.add("lmms_eval")  # a program that imports us: its file here is read by nobody else
    for path in (file for folder in ("src", "projects") for file in (root / folder).rglob("*.py")):
        for name in imported_names(path) - set(sys.stdlib_module_names) - ours:
            distribution = canonicalize_name(distributions.get(name, name))
            assert distribution in declared, f"{path} imports {name}"


def test_torch_is_pinned_without_a_build_and_its_breakers_are_refused(pins: dict[str, str]) -> None:
    assert re.fullmatch(r"[\d.]+", pins["torch"])
    assert {pins[name] for name in ("torchvision", "torchaudio", "torchcodec")} == {"0.0.0"}


@pytest.mark.parametrize("name", ["environment.py", "install_torch.py"])
def test_the_environment_is_made_with_the_standard_library_only(root: Path, name: str) -> None:
    assert imported_names(root / "tools" / name) <= set(sys.stdlib_module_names)


def imported_names(path: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in the file it does."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names
