"""Options of the commands that read data in any format."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from anyweave.cli.console import print_plain

FormatOption = Annotated[
    str | None, typer.Option("--format", help="Format of the data; default: detected.")
]
AllowOutsideOption = Annotated[
    bool,
    typer.Option(
        "--allow-outside", help="Also copy media from outside the data's folders, following links."
    ),
]


def _options(
    media: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder that paths are relative to, or image=FOLDER and so on; "
            "default: the file's folder."
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(help="The file's name for a key: caption=title; repeatable."),
    ] = None,
    task: Annotated[
        str, typer.Option(help="X-caption pairs: 'describe' (stage 1) or 'generate' (stage 2).")
    ] = "describe",
    split: Annotated[
        str | None, typer.Option(help="Which split, if the data have any; default: train.")
    ] = None,
    captions_only: Annotated[
        bool,
        typer.Option("--captions-only", help="The assistant's media have captions, but no files."),
    ] = False,
    allow_outside: AllowOutsideOption = False,
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


def reads_data(
    *, task: str = "describe", copies: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add these options to a command, which gets them as one dictionary, its argument `read`.

    `task` is the default of ``--task``; ``--allow-outside`` is only for commands that copy media
    (`copies`).
    """
    options = dict(inspect.signature(_options, eval_str=True).parameters)
    options["task"] = options["task"].replace(default=task)
    if not copies:
        del options["allow_outside"]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def run(**given: Any) -> None:
            command(read=_options(**{name: given.pop(name) for name in options}), **given)

        signature = inspect.signature(command, eval_str=True)
        own = [option for option in signature.parameters.values() if option.name != "read"]
        parameters = [
            option.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for option in (*own, *options.values())
        ]
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__annotations__ = {option.name: option.annotation for option in parameters}
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def print_lost(lost: Mapping[str, int]) -> None:
    """Print what was lost because the format or the target has no place for it, commonest first."""
    for what, count in sorted(lost.items(), key=lambda entry: -entry[1]):
        print_plain(f"lost: {what}, of {count:,} conversations")
