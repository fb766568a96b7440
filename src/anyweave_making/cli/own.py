"""`anyweave train own`: your own data, one command."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from anyweave.cli.console import err, print_plain
from anyweave.cli.loading import hide_loading_bars


def train_own(
    data: Annotated[
        Path,
        typer.Argument(help="A data file in any format, or a folder of media with captions."),
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="What to start from; default: emoji-mini."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run, its model and its report.")
    ] = Path("runs/own"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, with time and memory, and stop.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Time limit; default: until the held-out loss rises.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Data of before, mixed in so that less of them is forgotten."),
    ] = None,
    decoder_lora: Annotated[
        bool | None,
        typer.Option(
            "--decoder-lora/--no-decoder-lora",
            help="Whether adapters in the decoders learn; default: if the data show media.",
        ),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share that is never trained on.")] = 0.1,
    read_as: Annotated[
        str | None, typer.Option("--format", help="Format of the data; default: detected.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same run.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a stopped run.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: --set optimizer.learning_rate=1e-4"),
    ] = None,
) -> None:
    """Teach a model your own data: looked at, planned, trained, and shown before and after.

    A folder needs a table (path,caption) or name.txt beside name.png; requests are written around
    the captions. The model with the best held-out loss is OUT/model, the report OUT/report.html.

    \b
    anyweave train own my-pictures --dry-run
    anyweave train own my-pictures --out runs/mine --minutes 30
    anyweave train own my-pictures --keep old.jsonl --no-decoder-lora
    anyweave train own chats.jsonl --model runs/other/model
    anyweave chat --model runs/mine/model
    """
    from anyweave_making import own

    hide_loading_bars()
    logging.getLogger("anyweave").setLevel(logging.WARNING)
    found = own.look_at(data, held_out=held_out, format=read_as, seed=seed, keep=keep)
    chosen = None if settings is None else [f"seed={seed}", *settings]
    if resume:
        plan = own.Plan.load(output)
        plan.check_asked(model=model, minutes=minutes, decoder_lora=decoder_lora, settings=chosen)
    else:
        if not dry_run:  # before minutes go into a plan
            own.check_free(output)
        err.print(f"{len(found.train)} conversations to train on; trying a few steps ...")
        plan = own.make_plan(
            found,
            model or "emoji-mini",
            output,
            minutes=minutes,
            decoder_lora=decoder_lora,
            settings=tuple(chosen or [f"seed={seed}"]),
        )
    print_plain(plan.to_markdown(found))
    if dry_run:
        return
    report = own.train_own(found, plan.model, output, plan, resume=resume, say=err.print)
    media, words = report.kept
    total = len(report.always_asked)
    err.print(
        f"best held-out loss at step {report.lessons[-1].best_step}; {media} of {total} unrelated "
        f"questions get the same media as before, {words} the same words"
    )
    print_plain(f"{output / 'report.html'}\nanyweave chat --model {output / 'model'}")
