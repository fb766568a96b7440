"""`anyweave train`: the three stages."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import out
from anyweave.cli.data.reading import (
    CaptionsOnlyOption,
    ColumnOption,
    MediaFolderOption,
    SplitOption,
    TaskOption,
    read_options,
)
from anyweave.cli.loading import hide_loading_bars

app = typer.Typer(no_args_is_help=True, help="Train the three stages, or a part.")


def _stage_command(number: int) -> Callable[..., None]:
    def command(
        recipe: Annotated[
            str | None,
            typer.Option(help="Named recipe; default: that of --model, without one the tiny one."),
        ] = None,
        data: Annotated[
            str | None,
            typer.Option(help="Your conversations: a file in any format, or shards 'x/*.tar'."),
        ] = None,
        read_as: Annotated[
            str | None,
            typer.Option("--format", help="Format of the data; default: known by sight."),
        ] = None,
        media: MediaFolderOption = None,
        column: ColumnOption = None,
        task: TaskOption = "generate" if number == 2 else "describe",
        split: SplitOption = None,
        captions_only: CaptionsOnlyOption = False,
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
        from anyweave.data.place import ReadOptions
        from anyweave.training.launch import train_stage

        hide_loading_bars()
        report = train_stage(
            number,
            recipe=recipe,
            data=data,
            format=read_as,
            read=ReadOptions(**read_options(media, column, task, split, captions_only)),
            model=model,
            output=output,
            resume=resume,
            settings=settings or [],
        )
        if os.environ.get("RANK", "0") == "0":  # torchrun starts one of these per process
            out.print(report)

    command.__doc__ = f"""Train stage {number} of three, resumable, into a run folder.

    \b
    anyweave train stage{number}                  # the tiny model, to try it out
    anyweave train stage{number} --recipe emoji-mini --out runs/s{number}
    anyweave train stage{number} --data mine.jsonl --model emoji-mini --out runs/mine
    anyweave train stage{number} --data llava.json --format llava --media coco --model emoji-mini
    anyweave train stage{number} --out runs/s{number} --resume
    """
    return command


for _number in (1, 2, 3):
    app.command(name=f"stage{_number}")(_stage_command(_number))
