"""`anyweave train part`: the frozen parts of emoji-mini."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import print_plain


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
    trained: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that a lesson of the projectors follows; default: the run of the "
            "recipe before it."
        ),
    ] = None,
    measure: Annotated[
        int | None,
        typer.Option(help="Only measure what is there, on so many held-out scenes; writes sheets."),
    ] = None,
    ship: Annotated[
        bool, typer.Option("--ship", help="Only write a denoiser into the project, in float16.")
    ] = False,
) -> None:
    """Retrain a part of emoji-mini: an encoder, a decoder, a judge, or a lesson of the projectors.
    Parts missing from the folder are taken from the project's trained parts.

    \b
    anyweave train part picture-denoiser            # then clip-denoiser, which starts from it
    anyweave train part picture-denoiser --measure 256
    anyweave train part emoji-mini                  # put them together
    """
    from emoji_mini.parts.recipes import measure_named_part, ship_named_part, train_named_part

    if ship and measure is not None:
        raise ValueError("give --measure or --ship, not both")
    if ship:
        told = ship_named_part(name, output)
    elif measure is not None:
        told = measure_named_part(name, output, measure, trained=trained)
    else:
        told = train_named_part(name, output, scale=scale, trained=trained)
    print_plain(told)
