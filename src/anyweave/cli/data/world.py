"""Data of the emoji world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import print_plain


def data_world(
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the pack goes; default: in place.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Keep downloads here.")] = None,
) -> None:
    """Build the emoji world's asset pack again from public packages (npm, apt-get, fluidsynth).

    \b
    anyweave data world --work assets
    """
    from anyweave.world.assets import PACK, build_pack

    sizes = build_pack(output or PACK, work)
    print_plain(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB in {output or PACK}")
