"""`anyweave eval TASK`, `eval all`, `eval report` and `eval --list`: the paper's tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from anyweave.cli.console import err, out, print_json, print_plain, progress_bar
from anyweave.cli.loading import load_model
from anyweave.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    TrustOption,
)

DataOption = Annotated[
    Path | None, typer.Option("--data", help="Folder of the data set, as its owners publish it.")
]
RootOption = Annotated[
    Path | None, typer.Option("--data", help="Folder with a folder for each data set: see --list.")
]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", help="Folder of the answers and results; goes on there.")
]
LimitOption = Annotated[int | None, typer.Option(min=1, help="Ask only the first so many records.")]
BackboneOption = Annotated[
    list[str] | None,
    typer.Option(help="What a metric looks with: clip=FOLDER or hub id, inception=FILE.pt, ..."),
]
SeedOption = Annotated[int, typer.Option(help="Same seed, same answers.")]
_OUT = Path("runs/eval")


def eval_all(
    model: ModelOption = "emoji-mini",
    data: RootOption = None,
    output: OutOption = _OUT,
    limit: LimitOption = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
    trust_remote_code: TrustOption = False,
) -> None:
    """Every table of the paper, or why a figure is unavailable. Resumes if stopped.

    \b
    anyweave eval all --data benchmarks --model runs/s3/model
    anyweave eval all --data benchmarks --limit 5
    """
    from anyweave.evaluation.tasks import tasks

    places = {name: None if data is None else data for name in tasks()}
    _run(places, True, model, output, limit, backbone, seed, overwrite, device, as_json,
         trust_remote_code)  # fmt: skip


def eval_task(
    context: typer.Context,
    model: ModelOption = "emoji-mini",
    data: DataOption = None,
    output: OutOption = _OUT,
    limit: LimitOption = None,
    backbone: BackboneOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
    trust_remote_code: TrustOption = False,
) -> None:
    """A table of the paper: see --list. Resumes if stopped.

    \b
    anyweave eval vqav2 --data benchmarks/vqav2 --model runs/s3/model
    anyweave eval text-to-image --data coco --backbone clip=openai/clip-vit-base-patch32
    """
    name = str(context.info_name)
    if data is None:
        raise ValueError(f"where are the records of {name}? Give --data FOLDER; see --list")
    _run({name: data}, False, model, output, limit, backbone, seed, overwrite, device, as_json,
         trust_remote_code)  # fmt: skip


def eval_report(
    folder: Annotated[Path, typer.Argument(help="Folder of the results.")] = _OUT,
    as_json: JsonOption = False,
) -> None:
    """All results on one page: published, ours, difference."""
    from dataclasses import asdict

    from anyweave.evaluation.results import to_markdown, write_report

    cells = write_report(folder)
    if as_json:
        print_json([asdict(cell) for cell in cells])
    else:
        print_plain(to_markdown(cells))


def list_tasks(data: Path | None) -> None:
    """Print the tasks, what each needs and whether it is available."""
    from anyweave.evaluation.run import obstacle
    from anyweave.evaluation.tasks import load_task, tasks

    table = Table("task", "tables", "metrics", "--data holds", "what is missing here")
    for name in tasks():
        task = load_task(name)
        folder = None if data is None else data / task.folder
        lacks = dict.fromkeys([obstacle(task, folder), *(m.missing(()) for m in task.metrics)])
        in_tables = sorted({t for row in task.published.values() for t in row}, key=int)
        holds, lacking = f"{task.folder}: {task.layout}", "; ".join(x for x in lacks if x)
        names = ", ".join(metric.name for metric in task.metrics)
        table.add_row(name, ", ".join(in_tables), names, holds, lacking or "nothing")
    out.print(table, markup=False)


def list_others(about: Mapping[str, str]) -> None:
    """Print the commands other than the paper's tables."""
    table = Table("beside these", "what it tells; each has --help")
    for name, what in about.items():
        table.add_row(name, what)
    out.print(table, markup=False)


def _run(
    places: dict[str, Path | None],
    below: bool,
    model: str,
    output: Path,
    limit: int | None,
    backbone: list[str] | None,
    seed: int,
    overwrite: bool,
    device: str,
    as_json: bool,
    trust_remote_code: bool,
) -> None:
    from dataclasses import asdict

    from anyweave.evaluation.metrics.backbones import load_backbone
    from anyweave.evaluation.results import to_markdown, write_report
    from anyweave.evaluation.run import ModelSpeaker, obstacle, run_task
    from anyweave.evaluation.tasks import load_task

    named = dict(_backbone(text) for text in backbone or ())
    found = {name: load_task(name) for name in places}
    folders = {n: p / found[n].folder if below and p else p for n, p in places.items()}
    for name, task in found.items():  # report before anything is loaded or run
        whole = obstacle(task, folders[name])
        for reason in [whole] if whole else dict.fromkeys(m.missing(named) for m in task.metrics):
            if reason:
                which = [m.name for m in task.metrics if whole or m.missing(named) == reason]
                print_plain(f"{name}: no {', '.join(which)}: {reason}", to=err)
    backbones = {kind: load_backbone(kind, place) for kind, place in named.items()}
    loaded = load_model(model, device, trust_remote_code=trust_remote_code)
    speaker = ModelSpeaker(loaded, model, seed=seed)
    cells: list[Any] = []
    for name, task in found.items():
        with progress_bar(name) as progress:
            cells += run_task(name, task, speaker, folders[name], output / name, limit=limit,
                              seed=seed, backbones=backbones, progress=progress,
                              overwrite=overwrite)  # fmt: skip
    write_report(output)
    if as_json:
        print_json([asdict(cell) for cell in cells])
    else:
        print_plain(to_markdown(cells))
        print_plain(f"all results so far: {output / 'report.md'}", to=err)


def _backbone(text: str) -> tuple[str, str]:
    kind, equals, place = text.partition("=")
    if not equals or not place:
        raise ValueError(f"--backbone takes KIND=PLACE, such as clip=FOLDER, got {text!r}")
    return kind, place
