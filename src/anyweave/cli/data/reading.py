"""Options of the commands that read data in any format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from anyweave.cli.console import print_plain

MediaFolderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--media",
        help="Folder that paths are relative to, or image=FOLDER and so on; default: the file's.",
    ),
]
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Format of the data; default: known by sight.")
]
ColumnOption = Annotated[
    list[str] | None, typer.Option(help="The file's name of a key: caption=title; again for more.")
]
TaskOption = Annotated[
    str, typer.Option(help="X-caption pairs: 'describe' (stage 1) or 'generate' (stage 2).")
]
SplitOption = Annotated[str | None, typer.Option(help="Of data that have some; default: train.")]
CaptionsOnlyOption = Annotated[
    bool,
    typer.Option("--captions-only", help="The assistant's media are known by caption, not file."),
]


AllowOutsideOption = Annotated[
    bool,
    typer.Option(
        "--allow-outside", help="Copy media from outside the data's folders too, links followed."
    ),
]


def read_options(
    media: Sequence[str] | None,
    column: Sequence[str] | None,
    task: str,
    split: str | None,
    captions_only: bool,
    allow_outside: bool = False,
) -> dict[str, Any]:
    """These options as the keyword arguments of `anyweave.data.ReadOptions`."""
    folders = [entry.partition("=") for entry in media or ()]
    if len(folders) > 1 and not all(equals for _, equals, _ in folders):
        raise ValueError("--media is one folder, or image=FOLDER, video=FOLDER, audio=FOLDER")
    named = {name: folder for name, equals, folder in folders if equals}
    columns = [entry.partition("=") for entry in column or ()]
    if not all(ours and theirs for ours, _, theirs in columns):
        raise ValueError("--column is our name and the file's, for example caption=title")
    return {
        "media": named or next((name for name, _, _ in folders), None),
        "columns": {ours: theirs for ours, _, theirs in columns},
        "task": task,
        "split": split,
        "captions_only": captions_only,
        "allow_outside": allow_outside,
    }


def print_lost(lost: Mapping[str, int]) -> None:
    """What rows have and their format, or the target, has no place for; the commonest first."""
    for what, count in sorted(lost.items(), key=lambda entry: -entry[1]):
        print_plain(f"lost: {what}, of {count:,} conversations")
