"""`anyweave train part`: the frozen parts of emoji-mini."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import out
from anyweave.cli.options import DeviceOption


def train_part(
    name: Annotated[
        str,
        typer.Argument(
            help="image-encoder, audio-encoder, image, video, audio, verifiers, emoji-mini "
            "(assemble) or output-projectors."
        ),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of parts.")] = Path(
        "runs/parts"
    ),
    device: DeviceOption = "cpu",
    scale: Annotated[
        float, typer.Option(help="Share of the recipe's steps; 0.01 to try it out.")
    ] = 1.0,
) -> None:
    """Train a part of emoji-mini again: an encoder, a decoder, or a lesson of the projectors.

    \b
    anyweave train part image --out runs/parts      # then video; audio-encoder, then audio
    anyweave train part emoji-mini                  # put them together
    """
    from emoji_mini.parts.recipes import train_named_part

    out.print(train_named_part(name, output, device=device, scale=scale))
