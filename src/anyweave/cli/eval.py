"""`anyweave eval`: measure a model. Installed packages add benchmarks of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.benchmarks import eval_all, eval_report, eval_task, list_others, list_tasks
from anyweave.cli.console import print_json, print_plain, progress_bar
from anyweave.cli.data.reading import FormatOption, reads_data
from anyweave.cli.loading import load_model
from anyweave.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    TrustOption,
    read_fields,
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
        known = tasks()
        list_others(
            {
                name: command.get_short_help_str(90)
                for name, command in getattr(context.command, "commands", {}).items()
                if name not in {*known, "all", "report"}
            }
        )
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
    """Losses on your data, and whether the model gives the same media as the assistant there.

    \b
    anyweave eval data test.jsonl --model runs/mine/model
    anyweave eval data mosit.json --format mosit --captions-only --json
    """
    from anyweave.data import open_data
    from anyweave.evaluation.on_data import evaluate
    from anyweave.files import write_json

    if output is not None and output.exists() and not overwrite:
        raise ValueError(f"{output} already exists; choose another --out, or give --overwrite")
    if output is not None:
        if output.is_dir():
            raise ValueError(f"{output} is a folder; --out is the report's file, {output}/x.json")
        output.parent.mkdir(parents=True, exist_ok=True)  # before anything is asked
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


@app.command(name="decision")
def eval_decision(
    *,
    model: ModelOption = "emoji-mini",
    url: Annotated[
        str | None,
        typer.Option(help="Ask a server that speaks OpenAI's protocol, e.g. http://host:8000/v1."),
    ] = None,
    body: Annotated[
        str | None, typer.Option(help="With --url: more fields of every request, as JSON.")
    ] = None,
    key_variable: Annotated[
        str, typer.Option(help="With --url: environment variable that holds the API key.")
    ] = "OPENAI_API_KEY",
    split: Annotated[str, typer.Option(help="all, dev or test.")] = "all",
    limit: Annotated[int | None, typer.Option(help="Only so many, evenly spread.")] = None,
    output: Annotated[Path, typer.Option("--out", "-o", help="Report folder; resumed.")] = Path(
        "runs/decision"
    ),
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
    trust_remote_code: TrustOption = False,
) -> None:
    """Does the model give the media that a person would want, and no others?

    1,000 requests in everyday words: pictures, clips, sounds, several in order, or words alone.
    No media are made locally; a server does make them, so request few steps.

    \b
    anyweave eval decision
    anyweave eval decision --model runs/mine/model --split test --json
    anyweave eval decision --url http://127.0.0.1:8000/v1 --model emoji-mini \\
        --body '{"num_inference_steps": 1}'
    """
    from anyweave.evaluation import decision

    requests = decision.choose(split, limit)
    if url is None:
        if body is not None:
            raise ValueError("--body is sent to a server: give --url too")
        loaded = load_model(model, device, trust_remote_code=trust_remote_code)
        answers, weights = decision.model_answers(loaded), loaded.weights_sha256()
    else:
        fields = {} if body is None else read_fields(body)
        answers = decision.server_answers(url, model, key_variable=key_variable, body=fields)
        weights = ""  # not known from here
    with progress_bar("answering") as progress:
        report = decision.measure(
            *(model, answers, requests), folder=output, weights=weights, progress=progress
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_plain(report.to_markdown())


@app.command(name="folder")
def eval_folder(
    *,
    requests: Annotated[
        Path, typer.Argument(help="A line each of a .txt file, or a data file in any format.")
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of replies; resumed.")],
    model: ModelOption = "emoji-mini",
    bridge: Annotated[
        str | None, typer.Option(help="What conditions the decoders, if not the model's own.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the first reply; the next has one more.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    device: DeviceOption = "cpu",
    trust_remote_code: TrustOption = False,
) -> None:
    """Save a model's replies to your requests in a flat folder, for people and other tools.

    \b
    anyweave eval folder prompts.txt --out replies/signal
    anyweave eval folder prompts.txt --out replies/caption --bridge caption
    anyweave eval human replies/signal replies/caption
    fidelity --gpu 0 --fid --input1 replies/signal --input2 photos    # torch-fidelity
    """
    from anyweave.evaluation.folder import fill_folder, read_requests
    from anyweave.generation import GenerationOptions

    asked = read_requests(requests)
    loaded = load_model(model, device, bridge, trust_remote_code=trust_remote_code)
    name = model if bridge is None else f"{model}, {bridge}"
    options = GenerationOptions(temperature=0.0, seed=seed, num_inference_steps=steps)
    with progress_bar("answering") as progress:
        fill_folder(loaded, asked, output, name=name, options=options, progress=progress)
    print_plain(f"{len(asked)} replies in {output}")


@app.command(name="human")
def eval_human(
    *,
    folders: Annotated[
        list[Path], typer.Argument(help="Replies of one model or bridge each, to rate.")
    ],
    votes: Annotated[
        Path, typer.Option(help="SQLite file of all votes; made where it is missing.")
    ] = Path("votes.sqlite"),
    port: Annotated[int, typer.Option(help="Of the page; 0 chooses a free one.")] = 0,
    results: Annotated[
        bool, typer.Option("--results", help="Open no page: print what the votes say.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--csv", help="With --results: also write all votes here.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Let people rate replies on a local page: blind, side by side, 1 to 10 and the best.

    \b
    anyweave eval human replies/signal replies/caption
    anyweave eval human replies/signal replies/caption --results --csv votes.csv
    """
    from anyweave.evaluation import human
    from anyweave.files import write_text

    named = {folder.resolve().name: folder for folder in folders}
    if len(named) != len(folders):
        raise ValueError(f"folders need different names, got {', '.join(map(str, folders))}")
    if export is not None and not results:
        raise ValueError("--csv goes with --results")
    if results and not votes.is_file():
        raise ValueError(f"{votes} does not exist: nobody has voted yet")
    kept = human.Votes(votes)
    if results:
        found = human.summarise(kept.all(), tuple(named))
        if export is not None:
            write_text(export, human.votes_csv(kept.all()))
        if as_json:
            print_json(found.to_dict())
        else:
            print_plain(found.to_markdown())
        return
    try:
        from anyweave.evaluation.human.server import human_server
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the page needs {error.name}, which is not installed: pip install 'anyweave[serve]'"
        ) from error
    server = human_server(human.Screens(named, kept), port)
    print_plain(f"Open {server.url}\nVotes are kept in {votes}. Ctrl+C ends the page.")
    server.serve_forever()


@app.command(name="objects")
def eval_objects(
    *,
    records: Annotated[Path, typer.Argument(help="GenEval's evaluation_metadata.jsonl, or alike.")],
    pictures: Annotated[
        Path, typer.Argument(help="Filled by `anyweave eval folder`, or in GenEval's layout.")
    ],
    detector: Annotated[str, typer.Option(help="Zero-shot object detector, hub id or folder.")],
    classifier: Annotated[
        str | None, typer.Option(help="Zero-shot image classifier; needed for colours.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="Boxes below are not seen.")] = 0.3,
    as_json: JsonOption = False,
) -> None:
    """Check things, number, colour and place in any model's pictures with a detector.

    \b
    anyweave eval folder evaluation_metadata.jsonl --out pictures
    anyweave eval objects evaluation_metadata.jsonl pictures \\
        --detector google/owlv2-base-patch16-ensemble --classifier openai/clip-vit-base-patch32
    """
    from anyweave.evaluation import objects

    rows = objects.read_records(records)
    found = objects.pictures_of(pictures, rows)
    judge = objects.PipelineDetector(detector, classifier, threshold=threshold)
    with progress_bar("looking") as progress:
        figures, verdicts = objects.score_pictures(rows, found, judge, progress)
    if as_json:
        told = {"detector": detector, "classifier": classifier, "threshold": threshold}
        values = {name: vars(figure) for name, figure in figures.items()}
        print_json({**told, "figures": values, "verdicts": [vars(verdict) for verdict in verdicts]})
        return
    lines = [f"| {name} | {figure} | {figure.trials} |" for name, figure in figures.items()]
    head = [f"Judged by {detector}, boxes from {threshold}.", ""]
    print_plain("\n".join([*head, "| what | right | pictures |", "|---|---|---|", *lines]))
