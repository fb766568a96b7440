"""`anyweave train part`: the frozen parts of emoji-mini."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import out


def train_part(
    name: Annotated[
        str,
        typer.Argument(
            help="picture-autoencoder, picture-encoder, audio-encoder, picture-denoiser, "
            "clip-denoiser, sound-autoencoder, sound-denoiser, sound-verifier, motion-judge, "
            "emoji-mini (assemble), output-projectors, input-projector or "
            "output-projectors-last."
        ),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of parts.")] = Path(
        "runs/parts"
    ),
    scale: Annotated[
        float, typer.Option(help="Share of the recipe's steps; 0.01 to try it out.")
    ] = 1.0,
) -> None:
    """Retrain a part of emoji-mini: an encoder, a decoder, a judge, or a lesson of the projectors.
    Parts missing from the folder are taken from the project's trained parts.

    \b
    anyweave train part picture-denoiser            # then clip-denoiser, which starts from it
    anyweave train part emoji-mini                  # put them together
    """
    from emoji_mini.parts.recipes import train_named_part

    out.print(train_named_part(name, output, scale=scale))
