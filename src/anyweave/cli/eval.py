"""`anyweave eval`: measure a model. Installed packages add benchmarks of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.benchmarks import eval_all, eval_report, eval_task, list_tasks
from anyweave.cli.console import print_json, print_plain, progress_bar
from anyweave.cli.data.reading import FormatOption, reads_data
from anyweave.cli.loading import load_model
from anyweave.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    TrustOption,
)
from anyweave.evaluation.tasks import tasks

app = typer.Typer(no_args_is_help=True, help="Measure a model.")


@app.callback(invoke_without_command=True)
def eval_list(
    context: typer.Context,
    listed: Annotated[
        bool, typer.Option("--list", help="The paper's tables: what each needs, and if it is here.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="With --list: the folder of all data sets.")
    ] = None,
) -> None:
    """Measure a model."""
    if listed:
        list_tasks(data)
    elif context.invoked_subcommand is None:
        raise ValueError("--data is the option of a task here; give one, or --list")


app.command(name="all")(eval_all)
app.command(name="report")(eval_report)
for _name in tasks():
    app.command(name=_name, rich_help_panel="Tables of the paper")(eval_task)


@app.command(name="data")
@reads_data()
def eval_data(
    *,
    read: dict[str, Any],
    data: Annotated[
        str, typer.Argument(help="A file in any format, a folder of shards, hf://owner/name.")
    ],
    model: ModelOption = "emoji-mini",
    read_as: FormatOption = None,
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write the report as JSON here.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
    trust_remote_code: TrustOption = False,
) -> None:
    """Losses on your data, and whether the model gives the media that the assistant gives there.

    \b
    anyweave eval data test.jsonl --model runs/mine/model
    anyweave eval data mosit.json --format mosit --captions-only --json
    """
    from anyweave.data import open_data
    from anyweave.evaluation.on_data import evaluate
    from anyweave.files import write_json

    if output is not None and output.exists() and not overwrite:
        raise ValueError(f"{output} already exists; choose another --out, or give --overwrite")
    source = open_data(data, read_as, **read)
    loaded = load_model(model, device, trust_remote_code=trust_remote_code)
    with progress_bar("answering") as progress:
        report = evaluate(loaded, source, progress=progress)
    if output is not None:
        write_json(output, report.to_dict())
    if as_json:
        print_json(report.to_dict())
    else:
        print_plain(report.to_markdown())
