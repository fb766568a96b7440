"""Variants side by side: one table, every figure with its trials and its interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from anyweave.evaluation.metrics import Figure
from anyweave.files import read_object, write_json, write_text


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One variant: the number of its trained parameters by role, and its figures by name."""

    parameters: Mapping[str, int]
    figures: Mapping[str, Figure]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Measured:
        """The inverse of `dataclasses.asdict`."""
        figures = {name: Figure(**figure) for name, figure in values["figures"].items()}
        return cls(parameters=values["parameters"], figures=figures)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What an ablation found. `settings` are the options that reproduce it."""

    name: str
    title: str
    about: str
    settings: Mapping[str, Any]
    columns: Mapping[str, Measured]
    command: str = ""
    """The `anyweave` command that reproduces the table; by default the ablation's."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "command"}

    def to_markdown(self) -> str:
        """A row per measure, a column per variant."""
        options = " ".join(
            f"--{'model' if key == 'base' else key} {value}" for key, value in self.settings.items()
        )
        measured = list(self.columns.values())
        lines = [
            f"# {self.title}",
            "",
            f"{self.about} Held-out scenes in held-out words. In brackets 95% intervals: Wilson's "
            "for shares, bootstrap over samples for losses and errors.",
            "",
            f"| measure | trials | {' | '.join(self.columns)} |",
            f"|---|---|{'---|' * len(self.columns)}",
        ]
        for name, first in measured[0].figures.items():
            values = " | ".join(str(column.figures.get(name, "-")) for column in measured)
            lines.append(f"| {name} | {first.trials} | {values} |")
        for role in measured[0].parameters:
            counts = " | ".join(f"{column.parameters[role]:,}" for column in measured)
            lines.append(f"| parameters, {role.replace('_', ' ')} | | {counts} |")
        lines += [
            "",
            "```sh",
            f"anyweave {self.command or f'eval ablation {self.name}'} {options}",
            "```",
        ]
        return "\n".join(lines) + "\n"

    def save(self, folder: str | Path) -> Path:
        """Write ``NAME.md`` and ``NAME.json`` into `folder`; returns it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{self.name}.md", self.to_markdown())
        write_json(folder / f"{self.name}.json", self.to_dict(), indent=1)
        return folder


def check_same_settings(folder: str | Path, name: str, settings: Mapping[str, Any]) -> None:
    """Raise `ValueError` if ``NAME.json`` in `folder` was measured with other settings."""
    path = Path(folder) / f"{name}.json"
    found = read_object(path).get("settings") if path.is_file() else settings
    if found != dict(settings):
        raise ValueError(
            f"{path} was measured with {found}, now it is {dict(settings)}: not replacing it; "
            "choose another folder (--report), or replace it with --overwrite (overwrite=True)"
        )
