"""Data of the emoji world: its pictures and sounds, and what emoji-mini is taught with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import print_plain, progress_bar
from anyweave_making.cli.making import print_release


def data_world(
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to write the pack; default: in place.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Keep downloads here.")] = None,
) -> None:
    """Build the emoji world's asset pack again from public packages (npm, apt-get, fluidsynth).

    \b
    anyweave data world --work assets
    """
    from emoji_mini.world.assets import PACK, build_pack

    sizes = build_pack(output or PACK, work)
    print_plain(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB in {output or PACK}")


def data_emoji(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the two data sets.")],
    mosit: Annotated[int, typer.Option(help="Dialogues of three to seven turns.")] = 6000,
    chats: Annotated[int, typer.Option(help="Short chats: T2M, and text only.")] = 15_000,
    seed: Annotated[int, typer.Option(help="Same seed, same data sets.")] = 0,
) -> None:
    """Write what emoji-mini is taught with: OUT/emoji-mosit and OUT/emoji-chats.

    Stopped, it goes on; a data set that is there stays as it is.

    \b
    anyweave data emoji runs/emoji
    anyweave data stats runs/emoji/emoji-mosit
    anyweave train stage3 --recipe emoji-mini-mosit
    """
    from emoji_mini.world.mosit import build_emoji_data

    wanted = {"emoji-mosit": mosit, "emoji-chats": chats}
    built = build_emoji_data(output, num=wanted, seed=seed, bar=progress_bar)
    for name, facts in built.items():
        print_release(facts, output / name)
