"""MkDocs hook: one reference page for every room of the library, in the order of the import
contract.

The pages are made while the site is built and never stored, so a new room has one and a removed
room has none.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "anyweave"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the reference pages to the navigation."""
    assert config.nav is not None, "mkdocs.yml lists its pages"
    config.nav.append({"Reference": [{room: f"reference/{room}.md"} for room in rooms()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference pages themselves."""
    for room in rooms():
        page = f"::: anyweave.{room}\n"
        files.append(File.generated(config, f"reference/{room}.md", content=page))
    return files


def rooms() -> list[str]:
    """Every room that exists, lowest first: the layers of the import contract, read upwards."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [name for layer in reversed(layers) for name in re.findall(r"\w+", layer)]
    return [name for name in names if _exists(name)]


def _exists(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name / "__init__.py").exists()
