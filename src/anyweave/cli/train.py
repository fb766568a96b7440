"""`anyweave train`: the three stages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import out
from anyweave.cli.data.reading import FormatOption, reads_data
from anyweave.cli.loading import hide_loading_bars

app = typer.Typer(
    no_args_is_help=True, help="Train one of the three stages, or a part of the model."
)


def _stage_command(number: int) -> Callable[..., None]:
    def command(
        *,
        read: dict[str, Any],
        recipe: Annotated[
            str | None,
            typer.Option(help="A recipe by name; default: the model's own, or the tiny one."),
        ] = None,
        data: Annotated[
            str | None,
            typer.Option(help="Your conversations: a file in any format, or shards 'x/*.tar'."),
        ] = None,
        read_as: FormatOption = None,
        model: Annotated[
            str | None, typer.Option("--model", "-m", help="Checkpoint to start from.")
        ] = None,
        output: Annotated[Path | None, typer.Option("--out", "-o", help="Run folder.")] = None,
        resume: Annotated[
            bool,
            typer.Option("--resume", help="Continue from the last checkpoint in the run folder."),
        ] = False,
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", help="Change one setting: --set optimizer.clip=0.5"),
        ] = None,
    ) -> None:
        from anyweave.data.place import ReadOptions
        from anyweave.training.launch import train

        hide_loading_bars()
        report = train(
            stage=number,
            recipe=recipe,
            data=data,
            format=read_as,
            read=ReadOptions(**read),
            model=model,
            output=output,
            resume=resume,
            settings=settings or [],
        )
        if os.environ.get("RANK", "0") == "0":  # under torchrun, only the first process prints
            out.print(report)

    command.__doc__ = f"""Train stage {number} of three into a run folder; a stopped run can resume.

    \b
    anyweave train stage{number}                  # the tiny model, to try it out
    anyweave train stage{number} --recipe emoji-mini --out runs/s{number}
    anyweave train stage{number} --data mine.jsonl --model emoji-mini --out runs/mine
    anyweave train stage{number} --data llava.json --format llava --media coco --model emoji-mini
    anyweave train stage{number} --recipe emoji-mini --out runs/s{number} --resume

    To resume, give the same options once more with --resume.
    """
    return reads_data(task="generate" if number == 2 else "describe")(command)


for _number in (1, 2, 3):
    app.command(name=f"stage{_number}")(_stage_command(_number))
