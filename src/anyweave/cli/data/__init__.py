"""`anyweave data`: one file per command or kind of command; names and order are here."""

from __future__ import annotations

from collections.abc import Callable

import typer

from anyweave.cli.data.features import data_features
from anyweave.cli.data.files import data_convert, data_show, data_stats, data_validate

COMMANDS: dict[str, Callable[..., None]] = {
    "features": data_features,
    "stats": data_stats,
    "show": data_show,
    "convert": data_convert,
    "validate": data_validate,
}

app = typer.Typer(no_args_is_help=True, help="Build, count and look through datasets.")
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)
