"""Commands added by installed packages, through entry points of the group ``anyweave.commands``.

The entry point's name is the command's place: ``demo``, or ``data.mosit`` within a group. It refers
to a function, or to a typer app for a group of commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

import typer

from anyweave.cli.console import err, print_plain

ENTRY_POINT_GROUP = "anyweave.commands"


def add_commands(groups: Mapping[str, typer.Typer]) -> None:
    """Add the commands of all installed packages to `groups`; the empty name is the top level.

    If a package cannot be imported, only its commands are missing, and a message says so.
    """
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        place, _, name = point.name.rpartition(".")
        if place not in groups:
            print_plain(f"{point.value}: no group {place!r} for the command {name!r}", to=err)
            continue
        try:
            command = point.load()
        except ImportError as error:
            print_plain(
                f"the command {point.name!r} of {point.value} is not available: {error}", to=err
            )
            continue
        if isinstance(command, typer.Typer):
            groups[place].add_typer(command, name=name)
        else:
            groups[place].command(name=name)(command)
