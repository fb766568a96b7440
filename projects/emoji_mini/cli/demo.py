"""`anyweave demo`: a demonstration of the embedded model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import print_plain
from anyweave.cli.loading import hide_loading_bars
from anyweave.cli.options import ModelOption, OverwriteOption, TrustOption


def demo(
    output: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the media and the page.")
    ] = Path("demo-out"),
    overwrite: OverwriteOption = False,
    model: ModelOption = "emoji-mini",
    seed: Annotated[int, typer.Option(help="Same seed, same replies.")] = 0,
    script: Annotated[
        Path | None, typer.Option(help="TOML file of conversations; default: the built-in ones.")
    ] = None,
    trust_remote_code: TrustOption = False,
) -> None:
    """Hold scripted conversations in and out of every modality; write media and an HTML page.

    \b
    anyweave demo --out demo-out
    anyweave demo --script docs/conversations.toml --out conversations
    """
    from emoji_mini.demo import SCRIPTS, read_scripts, run_demo

    hide_loading_bars()
    scripts = SCRIPTS if script is None else read_scripts(script)
    page = run_demo(
        model,
        output,
        seed=seed,
        say=print_plain,
        scripts=scripts,
        overwrite=overwrite,
        trust_remote_code=trust_remote_code,
    )
    print_plain(f"\nOpen {page} in a browser to see and hear everything.")
