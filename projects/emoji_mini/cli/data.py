"""Emoji world data: its pictures and sounds, and what emoji-mini learns from."""

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
) -> None:
    """Rebuild the emoji world's asset pack from public packages (npm, apt-get, fluidsynth).

    Fetches about 900 MB and keeps them in $EMOJI_WORLD_CACHE.

    \b
    anyweave data world --out pack
    """
    from emoji_mini.emoji_world.pack import PACK
    from emoji_mini.emoji_world.packing import build_pack

    sizes = build_pack(output or PACK)
    print_plain(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB in {output or PACK}")


def data_emoji(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the two data sets.")],
    mosit: Annotated[int, typer.Option(help="Dialogues of three to seven turns.")] = 6000,
    chats: Annotated[int, typer.Option(help="Talk of all kinds, short or long.")] = 15_000,
    seed: Annotated[int, typer.Option(help="Same seed, same data sets.")] = 0,
) -> None:
    """Write the talk emoji-mini learns from as data sets: OUT/emoji-mosit and OUT/emoji-chats.

    A stopped run can be resumed; an existing data set is left as it is.

    \b
    anyweave data emoji runs/emoji
    anyweave data stats runs/emoji/emoji-mosit
    anyweave data show runs/emoji/emoji-chats
    """
    from emoji_mini.emoji_talk.releasing import write_data_sets

    wanted = {"emoji-mosit": mosit, "emoji-chats": chats}
    for name, facts in write_data_sets(output, wanted, seed, progress_bar).items():
        print_release(facts, output / name)
