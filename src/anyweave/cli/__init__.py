"""The command line: parse, call, print. Every command's ``--help`` teaches by example."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.logging import RichHandler
from rich.markup import escape

from anyweave import __version__
from anyweave.cli.bench import app as bench_app
from anyweave.cli.console import err, print_plain
from anyweave.cli.conversation import chat, inspect, run
from anyweave.cli.data import app as data_app
from anyweave.cli.eval import app as eval_app
from anyweave.cli.index import app as index_app
from anyweave.cli.packages import add_commands
from anyweave.cli.serve import serve
from anyweave.cli.train import app as train_app

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Any-to-any chat: text, images, videos and sounds in and out.\n\n"
    "Try [bold]anyweave demo[/bold] first, then [bold]anyweave chat[/bold].",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print_plain(f"anyweave {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Options given before a command."""


for _command in (run, chat, serve, inspect):
    app.command()(_command)
_groups = {
    "train": train_app,
    "eval": eval_app,
    "data": data_app,
    "bench": bench_app,
    "index": index_app,
    "convert": typer.Typer(no_args_is_help=True, help="Convert checkpoints of other systems."),
}
for _name, _group in _groups.items():
    app.add_typer(_group, name=_name)
add_commands({"": app, **_groups})


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: user errors print one readable line, not a traceback."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )
    for name in ("anyweave.language", "anyweave.training.launch"):  # the first run downloads
        logging.getLogger(name).setLevel(logging.INFO)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="anyweave")
    except (ValueError, OSError) as error:
        line = " ".join(str(error).split())
        err.print(f"[bold red]error:[/bold red] {escape(line)}", soft_wrap=True, highlight=False)
        raise SystemExit(2 if isinstance(error, ValueError) else 1) from None
