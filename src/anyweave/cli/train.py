"""`anyweave train`: the three stages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import out

app = typer.Typer(no_args_is_help=True, help="Train the three stages, or a part.")


def _stage_command(number: int) -> Callable[..., None]:
    def command(
        recipe: Annotated[
            str | None,
            typer.Option(help="Named recipe; default: that of --model, without one the tiny one."),
        ] = None,
        data: Annotated[
            Path | None, typer.Option(help="Your conversations as messages JSONL.")
        ] = None,
        model: Annotated[
            str | None, typer.Option("--model", "-m", help="Checkpoint to start from.")
        ] = None,
        output: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder.")] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")
        ] = False,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="Change one value: --set optimizer.clip=0.5"),
        ] = None,
    ) -> None:
        from anyweave.generation.samples import write_samples
        from anyweave.training.launch import train_stage

        report = train_stage(
            number,
            recipe=recipe,
            data=data,
            model=model,
            output=output,
            resume=resume,
            settings=settings or [],
            write_samples=write_samples,
        )
        out.print(report)

    command.__doc__ = f"""Train stage {number} of three, resumable, into a run folder.

    \b
    anyweave train stage{number}                  # the tiny model, to try it out
    anyweave train stage{number} --recipe emoji-mini --out runs/s{number}
    anyweave train stage{number} --data mine.jsonl --model emoji-mini --set steps=200
    anyweave train stage{number} --out runs/s{number} --resume
    """
    return command


for _number in (1, 2, 3):
    app.command(name=f"stage{_number}")(_stage_command(_number))
