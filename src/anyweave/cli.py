"""The command line: parse, call, print. Every command's ``--help`` teaches by example."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import DownloadColumn, MofNCompleteColumn, Progress
from rich.status import Status
from rich.table import Table

from anyweave.messages import MEDIA_TYPES, Message, Modality, Part

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Any-to-any chat: text, images, videos and sounds in and out.\n\n"
    "Try [bold]anyweave demo[/bold] first, then [bold]anyweave chat[/bold].",
)
train_app = typer.Typer(
    no_args_is_help=True, help="Train the three stages, or the parts of emoji-mini."
)
eval_app = typer.Typer(no_args_is_help=True, help="Measure a model.")
data_app = typer.Typer(no_args_is_help=True, help="Build, count and look through datasets.")
convert_app = typer.Typer(no_args_is_help=True, help="Convert checkpoints of other systems.")
app.add_typer(train_app, name="train")
app.add_typer(eval_app, name="eval")
app.add_typer(data_app, name="data")
mosit_app = typer.Typer(no_args_is_help=True, help="Make modality-switching dialogues.")
data_app.add_typer(mosit_app, name="mosit")
bench_app = typer.Typer(no_args_is_help=True, help="Measure speed and memory on this machine.")
app.add_typer(bench_app, name="bench")
app.add_typer(convert_app, name="convert")

out = Console()
err = Console(stderr=True)

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="'emoji-mini', a folder, or a hub id.")
]
SeedOption = Annotated[int | None, typer.Option(help="Same seed, same reply.")]
BridgeOption = Annotated[
    str | None,
    typer.Option(help="What conditions the decoders: 'signal' states or the spoken 'caption'."),
]
DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")]
TokensOption = Annotated[int, typer.Option(help="Stop a reply after so many tokens.")]
TemperatureOption = Annotated[float, typer.Option(help="0 always says the likeliest.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
CollectionOption = Annotated[
    list[Path],
    typer.Option(help="Table of media and captions (CSV, TSV, JSONL); may be given again."),
]
LicenceOption = Annotated[str, typer.Option(help="Of media whose row does not say it.")]
SourceOption = Annotated[
    str, typer.Option(help="Of media whose row does not say it; default: the table's name.")
]
LLMOption = Annotated[
    str | None,
    typer.Option(help="OpenAI-compatible endpoint, e.g. http://localhost:8000/v1; default: none."),
]
LLMModelOption = Annotated[str, typer.Option(help="Its model; the key is in $OPENAI_API_KEY.")]
PriceOption = Annotated[str, typer.Option(help="Of a million tokens in and out, like 2.5,10.")]
BudgetOption = Annotated[float | None, typer.Option(help="Stop when so much is spent.")]
WorkersOption = Annotated[int, typer.Option(help="Requests at a time.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask about the cost.")]
HeldOutOption = Annotated[
    list[Path] | None,
    typer.Option(help="Evaluation set that must not leak; may be given again."),
]
MediaFolderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--media",
        help="Folder that paths are relative to, or image=FOLDER and so on; default: the file's.",
    ),
]
ColumnOption = Annotated[
    list[str] | None, typer.Option(help="The file's name of a key: caption=title; again for more.")
]
TaskOption = Annotated[
    str, typer.Option(help="X-caption pairs: 'describe' (stage 1) or 'generate' (stage 2).")
]
SplitOption = Annotated[str | None, typer.Option(help="Of data that have some; default: train.")]
CaptionsOnlyOption = Annotated[
    bool,
    typer.Option("--captions-only", help="The assistant's media are known by caption, not file."),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: a user's mistake ends in one readable line, not in a traceback."""
    logging.basicConfig(level=logging.WARNING, handlers=[RichHandler(console=err, show_path=False)])
    logging.getLogger("anyweave.language").setLevel(logging.INFO)  # the first run downloads
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="anyweave")
    except (ValueError, OSError) as error:
        line = " ".join(str(error).split())
        err.print(f"[bold red]error:[/bold red] {escape(line)}", soft_wrap=True, highlight=False)
        raise SystemExit(2 if isinstance(error, ValueError) else 1) from None


@app.command()
def run(
    text: Annotated[str | None, typer.Option("--text", "-t", help="What you say.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture; may be given again.")] = None,
    video: Annotated[list[Path] | None, typer.Option(help="A clip; may be given again.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound; may be given again.")] = None,
    model: ModelOption = "emoji-mini",
    output: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the reply's media.")
    ] = Path("reply"),
    as_json: JsonOption = False,
    modalities: Annotated[
        str | None, typer.Option(help="Allow only these media, e.g. 'image,audio' or 'text'.")
    ] = None,
    force: Annotated[
        str | None, typer.Option(help="The reply must hold these, e.g. 'video'.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale of the decoders.")] = None,
    temperature: TemperatureOption = 0.0,
    max_new_tokens: TokensOption = 96,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Say one thing, with any media, and get one reply, with any media.

    \b
    anyweave run --text "show me two dogs on a beach" --out reply
    anyweave run --image cat.png --text "what does it sound like?" --json
    anyweave run --audio bell.wav --video clip.mp4 --text "what do you hear and see?"
    anyweave run --text "a fox at night" --force image,video --seed 7
    """
    user = Message("user", _parts(text, {"image": image, "video": video, "audio": audio}))
    from anyweave.generation import ChatSession, GenerationOptions
    from anyweave.generation.writing import write_message

    options = GenerationOptions(
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        seed=seed,
        modalities=_names(modalities),
        force=_names(force) or (),
        num_inference_steps=steps,
        guidance_scale=guidance,
    )
    loaded = _load(model, device)
    with err.status("thinking"):
        reply = ChatSession(loaded, options).reply(user)
    parts = write_message(reply, output)
    if as_json:
        _print_json({"model": model, "parts": parts})
        return
    for part in parts:
        if part["type"] != "text":
            _print_plain(f"{part['type']}: {part['path']}")
        elif part["text"].strip():
            _print_plain(part["text"].strip())


@app.command()
def chat(
    model: ModelOption = "emoji-mini",
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder for replies' media.")] = Path(
        "chat"
    ),
    temperature: TemperatureOption = 0.3,
    max_new_tokens: TokensOption = 128,
    seed: SeedOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Talk in the terminal. Media go in by path; replies' media are saved and named.

    \b
    anyweave chat --out my-chat
    you> show me a fox at night
    you> @photos/dog.png what does it sound like?
    you> /help
    """
    from anyweave.generation import ChatSession, GenerationOptions
    from anyweave.generation.terminal import converse

    options = GenerationOptions(temperature=temperature, seed=seed, max_new_tokens=max_new_tokens)
    loaded = _load(model, device)
    _print_plain("Write anything; /help says what else there is.")
    converse(
        lambda: ChatSession(loaded, options),
        output,
        ask=lambda: out.input("[bold]you>[/bold] "),
        say=_print_plain,
        status=_status_line(),
    )


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the media and the page.")
    ] = Path("demo-out"),
    model: ModelOption = "emoji-mini",
    seed: Annotated[int, typer.Option(help="Same seed, same replies.")] = 0,
) -> None:
    """Hold scripted conversations in and out of every modality; write media and an HTML page.

    \b
    anyweave demo --out demo-out
    """
    from anyweave.demo import run_demo

    _hide_loading_bars()
    page = run_demo(model, output, seed=seed, say=_print_plain)
    _print_plain(f"\nOpen {page} in a browser to see and hear everything.")


@app.command()
def inspect(
    model: Annotated[
        str,
        typer.Argument(help="'emoji-mini', a folder, a hub id, or a spec's name (see --list)."),
    ] = "emoji-mini",
    as_json: JsonOption = False,
    list_specs: Annotated[bool, typer.Option("--list", help="List the specs by name.")] = False,
) -> None:
    """Show the parts of a model or of a spec: parameters, licences, memory. Needs no weights.

    \b
    anyweave inspect emoji-mini
    anyweave inspect paper-7b                     # beside the paper's Table 1
    anyweave inspect --list
    anyweave inspect runs/s3/model --json
    """
    from anyweave.model.catalogue import SPECS
    from anyweave.model.inspect import inspect_checkpoint
    from anyweave.model.inspect_tables import render_list, render_report

    with err.status("counting"):
        reports = [inspect_checkpoint(name) for name in (SPECS if list_specs else [model])]
    if as_json:
        made = [report.to_dict() for report in reports]
        _print_json(made if list_specs else made[0])
    else:
        out.print(render_list(reports) if list_specs else render_report(reports[0]))


def _stage_command(number: int) -> Callable[..., None]:
    def command(
        recipe: Annotated[
            str | None, typer.Option(help="Named recipe; the default is the tiny one.")
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
    train_app.command(name=f"stage{_number}")(_stage_command(_number))


@train_app.command(name="part")
def train_part(
    name: Annotated[
        str,
        typer.Argument(help="encoder, image, video, audio, verifiers, or emoji-mini (assemble)."),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of parts.")] = Path(
        "runs/parts"
    ),
    device: DeviceOption = "cpu",
    scale: Annotated[
        float, typer.Option(help="Share of the recipe's steps; 0.01 to try it out.")
    ] = 1.0,
) -> None:
    """Train a frozen part of emoji-mini again: the encoder or a decoder.

    \b
    anyweave train part image --out runs/parts      # then video; audio-encoder, then audio
    anyweave train part emoji-mini                  # put them together
    """
    from anyweave.training.parts.recipes import train_named_part

    out.print(train_named_part(name, output, device=device, scale=scale))


@eval_app.command(name="world")
def eval_world(
    model: ModelOption = "emoji-mini",
    trials: Annotated[int, typer.Option(help="Trials per task.")] = 64,
    output: Annotated[Path, typer.Option("--out", "-o", help="Report folder.")] = Path(
        "reports/world"
    ),
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option(help="Same seed, same scenes and replies.")] = 0,
    tasks: Annotated[
        str | None, typer.Option(help="Only these, e.g. 'make image,make audio'.")
    ] = None,
    bridge: BridgeOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Measure perception, decisions and generation on held-out scenes of the emoji world.

    \b
    anyweave eval world --trials 100
    anyweave eval world --bridge signal --tasks "make image,make audio"
    anyweave eval world --model runs/s3/model --json
    """
    from anyweave.evaluation.run import run_world

    loaded = _load(model, device, bridge)
    report = run_world(loaded, output, num_trials=trials, seed=seed, tasks=_names(tasks))
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_plain(report.to_markdown())


@eval_app.command(name="ablation")
def eval_ablation(
    name: Annotated[str, typer.Argument(help="input-projector, signal-tokens or bridge.")],
    model: ModelOption = "emoji-mini",
    steps: Annotated[int, typer.Option(help="Training steps of every variant.")] = 30,
    trials: Annotated[int, typer.Option(help="Replies per measure.")] = 16,
    seed: Annotated[int, typer.Option(help="Same seed, same data, scenes and replies.")] = 0,
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of the runs.")] = Path(
        "runs/ablations"
    ),
    report: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("reports/ablations"),
    device: DeviceOption = "cpu",
) -> None:
    """Train variants that differ in one thing, measure them and write one table. Resumable.

    \b
    anyweave eval ablation input-projector     # grouping, linear, qformer
    anyweave eval ablation signal-tokens --steps 100 --trials 64
    anyweave eval ablation bridge              # nothing to train
    """
    from anyweave.evaluation.ablations import run_ablation

    _hide_loading_bars()
    comparison = run_ablation(
        name,
        output / name,
        report=report,
        base=model,
        steps=steps,
        trials=trials,
        seed=seed,
        device=device,
    )
    _print_plain(comparison.to_markdown())


@data_app.command(name="world")
def data_world(
    output: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where the pack goes; default: in place.")
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Keep downloads here.")] = None,
) -> None:
    """Build the emoji world's asset pack again from public packages (npm, apt-get, fluidsynth).

    \b
    anyweave data world --work assets
    """
    from anyweave.world.assets import PACK, build_pack

    sizes = build_pack(output or PACK, work)
    _print_plain(f"{len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB in {output or PACK}")


@data_app.command(name="features")
def data_features(
    data: Annotated[
        str, typer.Argument(help="A data file, a folder of shards, or 'shards/{000..127}.tar'.")
    ],
    cache: Annotated[Path, typer.Option(help="Folder of the cache; the runs' cache_dir.")],
    model: ModelOption = "emoji-mini",
    processes: Annotated[int, typer.Option(help="On the CPU, or actors of a cluster.")] = 1,
    share: Annotated[
        str, typer.Option(help="2/4 does the second of four shares: one command per GPU.")
    ] = "1/1",
    half: Annotated[bool, typer.Option("--half", help="Keep numbers as float16.")] = False,
    max_gb: Annotated[
        float | None, typer.Option(help="Bound of the folder, kept in it; default: none.")
    ] = None,
    latents: Annotated[
        bool, typer.Option(help="Of the assistant's media too: stages 2 and 3 need them.")
    ] = True,
    ray: Annotated[bool, typer.Option("--ray", help="On a Ray cluster (extra: ray).")] = False,
    read_as: Annotated[
        str | None, typer.Option("--format", help="Format of the data; default: known by sight.")
    ] = None,
    media: MediaFolderOption = None,
    column: ColumnOption = None,
    task: TaskOption = "describe",
    split: SplitOption = None,
    captions_only: CaptionsOnlyOption = False,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Compute encoder features, caption embeddings and latents once. Stopped, it goes on.

    \b
    anyweave data features train.jsonl --cache cache --processes 4
    anyweave data features 'cc3m/{000..331}.tar' --model paper-7b --cache cache --half \\
        --device cuda:1 --share 2/8
    """
    from anyweave.training.launch import fill_cache

    _hide_loading_bars()
    number, _, shares = share.partition("/")
    if not (number.isdigit() and shares.isdigit() and 1 <= int(number) <= int(shares)):
        raise ValueError(f"--share is like 2/4, the second of four; got {share!r}")
    filled = fill_cache(
        data,
        cache,
        model=model,
        format=read_as,
        latents=latents,
        half=half,
        max_bytes=None if max_gb is None else int(max_gb * 1e9),
        processes=processes,
        share=(int(number) - 1, int(shares)),
        ray=ray,
        device=device,
        **_read_options(media, column, task, split, captions_only),
    )
    if as_json:
        _print_json(asdict(filled))
        return
    left_out = f"; {len(filled.problems):,} items left out" if filled.problems else ""
    _print_plain(f"{filled.entries:,} entries, {filled.size / 1e6:.1f} MB in {cache}{left_out}")


@data_app.command(name="stats")
def data_stats(
    path: Annotated[Path, typer.Argument(help="A messages file, or the folder of a dataset.")],
    as_json: JsonOption = False,
) -> None:
    """Count a dataset as the paper's Table 6 does: modalities in and out, media, turns, instances.

    \b
    anyweave data stats mosit-0.1.0
    anyweave data stats mine.jsonl --json
    """
    from anyweave.data.stats import measure_file

    stats = measure_file(path).to_dict()
    if as_json:
        _print_json(stats)
        return
    table = Table("dataset", "in→out modality", title="as in Table 6 of the paper")
    for column in ("images/videos/audios", "turns", "instances"):
        table.add_column(column, justify="right")
    media = "/".join(f"{count:,}" for count in stats["media"].values())
    turns, instances = str(stats["mean_turns"]), f"{stats['instances']:,}"
    table.add_row(path.name, stats["in_out"], media, turns, instances)
    out.print(table)


@data_app.command(name="convert")
def data_convert(
    source: Annotated[
        str, typer.Argument(help="A file, 'shards/{000..127}.tar', a folder, hf://owner/name.")
    ],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new file.")],
    read_as: Annotated[
        str | None, typer.Option("--from", help="Format of the source; default: known by sight.")
    ] = None,
    write_as: Annotated[str, typer.Option("--to", help="Format of OUT.")] = "messages",
    media: MediaFolderOption = None,
    column: ColumnOption = None,
    task: TaskOption = "describe",
    split: SplitOption = None,
    captions_only: CaptionsOnlyOption = False,
    copy_media: Annotated[
        bool, typer.Option("--copy-media", help="Copy media beside OUT; default: name them there.")
    ] = False,
    skip: Annotated[
        bool, typer.Option("--skip", help="Leave out what does not convert, and count it.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Convert a data set to another format, and say what is lost. Stopped, it goes on.

    \b
    anyweave data convert cc3m.json stage1.jsonl --media images
    anyweave data convert 'shards/{000..331}.tar' stage2.jsonl --task generate
    anyweave data convert mosit.json mosit.jsonl --from mosit --captions-only
    anyweave data convert mine.jsonl mine.json --to ms-swift --skip
    """
    from anyweave.data.conversion import convert
    from anyweave.data.records import Records

    options = _read_options(media, column, task, split, captions_only)
    records = Records(source, read_as, **options)
    with _bar(f"{records.format.name} to {write_as}") as progress:
        done = convert(
            records, output, write_as, copy_media=copy_media, skip=skip, progress=progress
        )
    if as_json:
        _print_json(done.to_dict())
        return
    for what, count in done.lost.most_common():
        _print_plain(f"lost: {what}, of {count:,} conversations")
    for reason, count in done.skipped.most_common():
        _print_plain(f"left out: {count:,} ({reason})")
    _print_plain(f"{output}: {done.written:,} of {done.records:,} records of {source}")


@data_app.command(name="validate")
def data_validate(
    path: Annotated[str, typer.Argument(help="A data file, or a folder with data files.")],
    read_as: Annotated[
        str | None, typer.Option("--format", help="Default: each file is known by sight.")
    ] = None,
    clean: Annotated[
        Path | None, typer.Option(help="Write what is good here; for a folder, a new folder.")
    ] = None,
    media: MediaFolderOption = None,
    column: ColumnOption = None,
    task: TaskOption = "describe",
    split: SplitOption = None,
    captions_only: CaptionsOnlyOption = False,
    workers: Annotated[
        int, typer.Option(help="Processes that read; 0 is this one. Default: one per core.")
    ] = os.cpu_count() or 1,
    as_json: JsonOption = False,
) -> None:
    """Read every record and every medium; report all that is wrong. Exit status 1 if anything is.

    \b
    anyweave data validate train.jsonl
    anyweave data validate data --clean good
    anyweave data validate llava_instruct_150k.json --media coco/train2017 --json
    """
    from anyweave.data.place import ReadOptions
    from anyweave.data.validation import validate

    options = ReadOptions(**_read_options(media, column, task, split, captions_only))
    with _bar("reading") as progress:
        report = validate(
            path, read_as, options, clean=clean, workers=workers, progress=progress
        ).to_dict()
    if as_json:
        _print_json(report)
    else:
        for problem in report["problems"]:
            _print_plain(problem["problem"])
        for reason, count in report["reasons"].items():
            _print_plain(f"{count:6,}  {reason}")
        _print_plain(
            f"{report['good_records']:,} of {report['records']:,} records are good, "
            f"with {report['media']:,} media read"
        )
        for file in report["clean"]:
            _print_plain(f"{file}: the good ones")
    if report["problems"]:
        raise typer.Exit(1)


def _read_options(
    media: Sequence[str] | None,
    column: Sequence[str] | None,
    task: str,
    split: str | None,
    captions_only: bool,
) -> dict[str, Any]:
    folders = [entry.partition("=") for entry in media or ()]
    if len(folders) > 1 and not all(equals for _, equals, _ in folders):
        raise ValueError("--media is one folder, or image=FOLDER, video=FOLDER, audio=FOLDER")
    named = {name: folder for name, equals, folder in folders if equals}
    columns = [entry.partition("=") for entry in column or ()]
    if not all(ours and theirs for ours, _, theirs in columns):
        raise ValueError("--column is our name and the file's, for example caption=title")
    return {
        "media": named or next((name for name, _, _ in folders), None),
        "columns": {ours: theirs for ours, _, theirs in columns},
        "task": task,
        "split": split,
        "captions_only": captions_only,
    }


@data_app.command(name="t2m")
def data_t2m(
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the dataset, a new one.")
    ],
    collection: CollectionOption,
    work: Annotated[
        Path | None, typer.Option(help="Keeps progress and answers; default: OUT.work.")
    ] = None,
    per_item: Annotated[int, typer.Option(help="Exchanges for each medium.")] = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same dataset.")] = 0,
    name: Annotated[str, typer.Option(help="Name in the card.")] = "t2m",
    version: Annotated[str, typer.Option(help="Version in the card.")] = "0.1.0",
    copy_media: Annotated[
        bool, typer.Option("--copy-media", help="Copy the media into the dataset.")
    ] = False,
    licence: LicenceOption = "",
    source: SourceOption = "",
    llm: LLMOption = None,
    llm_model: LLMModelOption = "",
    price: PriceOption = "0,0",
    budget: BudgetOption = None,
    workers: WorkersOption = 4,
    yes: YesOption = False,
) -> None:
    """Wrap captions into requests and replies with media (T2M, paper section 5.2).

    \b
    anyweave data t2m t2m-0.1.0 --collection cc3m.csv --collection audiocaps.tsv
    anyweave data t2m t2m-0.2.0 --collection cc3m.csv --llm http://localhost:8000/v1 \\
        --llm-model qwen --price 0.4,1.6 --budget 20
    """
    from anyweave.data.t2m import ANSWER_TOKENS, LLMWriter, build_t2m, t2m_prompts

    items = _collections(collection, source, licence)
    work = work or output.with_name(f"{output.name}.work")
    with ExitStack() as stack:
        writer = None
        if llm is not None:
            model = stack.enter_context(_llm(work, llm, llm_model, price, budget))
            prompts = t2m_prompts(items, per_item=per_item, seed=seed)
            _agree(model.estimate(prompts, output_tokens=ANSWER_TOKENS), yes)
            writer = LLMWriter(model)
        facts = build_t2m(
            items,
            output,
            work=work,
            writer=writer,
            per_item=per_item,
            seed=seed,
            workers=workers if llm else 1,
            name=name,
            version=version,
            copy_media=copy_media,
            progress=stack.enter_context(_bar("exchanges")),
        )
    _print_release(facts, output)


@mosit_app.command(name="build")
def data_mosit_build(
    work: Annotated[Path, typer.Argument(help="Folder that keeps everything until the release.")],
    num: Annotated[int, typer.Option("--num", "-n", help="Drafts to write.")] = 5000,
    seed: Annotated[int, typer.Option(help="Same seed, same drafts.")] = 0,
    topics: Annotated[
        Path | None, typer.Option(help="TOML file of topics; default: our hundred and some.")
    ] = None,
    ground: Annotated[
        list[Path] | None,
        typer.Option(help="Collection whose captions the drafts ask for; may be given again."),
    ] = None,
    examples: Annotated[
        Path | None, typer.Option(help="Template dialogues for the language model.")
    ] = None,
    llm: LLMOption = None,
    llm_model: LLMModelOption = "",
    price: PriceOption = "0,0",
    budget: BudgetOption = None,
    workers: WorkersOption = 4,
    yes: YesOption = False,
) -> None:
    """Write drafts of dialogues with captions in the places of their media; stopped, it goes on.

    \b
    anyweave data mosit build work --num 6000 --ground photos.csv --ground sounds.csv
    anyweave data mosit build work --llm https://api.example.com/v1 --llm-model large --price 2,8
    """
    from anyweave.data import mosit
    from anyweave.data.mosit.build import draft_topics
    from anyweave.data.mosit.prompting import ANSWER_TOKENS

    chosen = mosit.read_topics(topics)
    if ground:
        chosen = mosit.grounded(chosen, _collections(ground))
    with ExitStack() as stack:
        writer: Any = mosit.Grammar(chosen)
        if llm is not None:
            model = stack.enter_context(_llm(work, llm, llm_model, price, budget))
            writer = mosit.Prompter(model, mosit.read_examples(examples))
            named = enumerate(draft_topics(chosen, num, seed))
            prompts = (writer.prompt(topic, (seed, i)) for i, topic in named)
            _agree(model.estimate(prompts, output_tokens=ANSWER_TOKENS), yes)
        bar = stack.enter_context(_bar("drafts"))
        workers = workers if llm else 1
        count = mosit.build_drafts(
            writer, chosen, work, num=num, seed=seed, workers=workers, progress=bar
        )
    _print_plain(f"{count:,} of {num:,} drafts in {work}; next: anyweave data mosit fill {work}")


@mosit_app.command(name="fill")
def data_mosit_fill(
    work: Annotated[Path, typer.Argument(help="The folder of the drafts.")],
    collection: CollectionOption = [],  # noqa: B006  (typer wants a list)
    generate: Annotated[
        str | None, typer.Option(help="Model that makes what is not found: 'emoji-mini', a folder.")
    ] = None,
    min_score: Annotated[
        float, typer.Option(help="How near a found caption must be, 0 to 1.")
    ] = 0.5,
    max_uses: Annotated[
        int | None, typer.Option(help="How often one file may be taken in all.")
    ] = None,
    licence: LicenceOption = "",
    source: SourceOption = "",
    device: DeviceOption = "cpu",
) -> None:
    """Give every caption a medium: the nearest of your collections, else a generated one.

    \b
    anyweave data mosit fill work --collection photos.csv --collection sounds.csv
    anyweave data mosit fill work --collection photos.csv --generate paper-7b --device cuda
    """
    from anyweave.data import mosit

    filler = _filler(work, collection, source, licence, generate, device, min_score, max_uses)
    settings = {
        "collections": [str(path) for path in collection],
        "generate": generate,
        "min_score": min_score,
        "max_uses": max_uses,
    }
    with _bar("dialogues") as bar:
        count = mosit.fill_drafts(work, filler, settings=settings, progress=bar)
    _print_plain(
        f"{count:,} dialogues have all their media; next: anyweave data mosit review {work}"
    )


@mosit_app.command(name="review")
def data_mosit_review(
    work: Annotated[Path, typer.Argument(help="The folder of the filled dialogues.")],
    port: Annotated[int, typer.Option(help="Port on this machine; 0 chooses one.")] = 8765,
    held_out: HeldOutOption = None,
) -> None:
    """Accept, edit or reject dialogues in the browser; every decision is saved at once.

    \b
    anyweave data mosit review work
    """
    from anyweave.data import mosit
    from anyweave.data.journal import Journal
    from anyweave.data.mosit.publish import filled_dialogues
    from anyweave.data.mosit.review import DECISIONS

    filters, hidden = mosit.Filters(), mosit.read_held_out(held_out or [])
    selection = mosit.select(filled_dialogues(work), filters, hidden)
    with Journal(work / DECISIONS) as decisions:
        server = mosit.review_server(mosit.Review(selection.kept, decisions), port)
        for reason, count in selection.counts().items():
            _print_plain(f"left out: {count:,} ({reason})")
        address = f"http://127.0.0.1:{server.server_port}"
        _print_plain(f"{len(selection.kept):,} dialogues at {address}, Ctrl+C to stop")
        with suppress(KeyboardInterrupt):
            server.serve_forever()


@mosit_app.command(name="release")
def data_mosit_release(
    work: Annotated[Path, typer.Argument(help="The folder of the filled dialogues.")],
    output: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of the dataset, a new one.")
    ],
    name: Annotated[str, typer.Option(help="Name in the card.")] = "mosit",
    version: Annotated[str, typer.Option(help="Version in the card.")] = "0.1.0",
    held_out: HeldOutOption = None,
    only_reviewed: Annotated[
        bool, typer.Option("--only-reviewed", help="Leave out what nobody accepted.")
    ] = False,
    min_turns: Annotated[int, typer.Option(help="Fewest turns.")] = 3,
    max_turns: Annotated[int, typer.Option(help="Most turns.")] = 7,
    max_similarity: Annotated[float, typer.Option(help="Of two dialogues, 0 to 1.")] = 0.8,
    max_imbalance: Annotated[
        float, typer.Option(help="Of the commonest kind of media to the rarest.")
    ] = 3.0,
    collection: CollectionOption = [],  # noqa: B006  (typer wants a list)
) -> None:
    """Sift the dialogues and write the dataset: conversations, media, origins, hashes and a card.

    \b
    anyweave data mosit release work mosit-0.1.0 --version 0.1.0 --held-out test.jsonl
    """
    from anyweave.data import mosit

    filters = mosit.Filters(
        min_turns=min_turns,
        max_turns=max_turns,
        max_similarity=max_similarity,
        max_imbalance=max_imbalance,
    )
    facts = mosit.publish(
        work,
        output,
        filters,
        name=name,
        version=version,
        held_out=mosit.read_held_out(held_out) if held_out else None,
        only_reviewed=only_reviewed,
        filler=_filler(work, collection) if collection else None,
    )
    _print_release(facts, output)


def _collections(paths: Sequence[Path], source: str = "", licence: str = "") -> list[Any]:
    from anyweave.data.collection import read_collection

    return [
        item
        for path in paths
        for item in read_collection(path, source=source or path.stem, licence=licence)
    ]


def _filler(
    work: Path,
    collection: Sequence[Path],
    source: str = "",
    licence: str = "",
    generate: str | None = None,
    device: str = "cpu",
    min_score: float = 0.5,
    max_uses: int | None = None,
) -> Any:
    from anyweave.data.mosit import Filler, Generator

    if not collection and generate is None:
        raise ValueError("nothing to fill from: give --collection, --generate or both")
    generator = None
    if generate is not None:
        from anyweave.generation.depicting import depict

        loaded = _load(generate, device, "caption")
        generator = Generator(make=partial(depict, loaded), source=generate)
    return Filler(
        _collections(collection, source, licence),
        folder=work / "media",
        generator=generator,
        min_score=min_score,
        max_uses=max_uses,
    )


@contextmanager
def _llm(work: Path, address: str, model: str, price: str, budget: float | None) -> Iterator[Any]:
    """A language model whose answers are kept in the work folder."""
    from anyweave.data.journal import Journal
    from anyweave.data.llm import LLM, Price

    if not model:
        raise ValueError("which model? give --llm-model with --llm")
    try:
        given, taken = (float(part) for part in price.split(","))
    except ValueError as error:
        raise ValueError(f"--price is two numbers like 2.5,10, got {price!r}") from error
    work.mkdir(parents=True, exist_ok=True)
    with Journal(work / "answers.jsonl") as answers:
        llm = LLM(
            base_url=address,
            model=model,
            answers=answers,
            price=Price(input=given, output=taken),
            budget=budget,
        )
        try:
            yield llm
        finally:
            llm.close()
            used = llm.usage
            err.print(
                f"{used.requests:,} requests, {used.cached:,} answers kept from before, "
                f"{used.retries:,} tried again; {used.input_tokens:,} tokens in, "
                f"{used.output_tokens:,} out, cost {used.cost:.4f}"
            )


def _agree(estimate: Any, yes: bool) -> None:
    """Say what it will cost, and go on only if the user agrees."""
    err.print(
        f"{estimate.requests:,} requests, {estimate.cached:,} of them answered before; about "
        f"{estimate.input_tokens:,} tokens in and {estimate.output_tokens:,} out, about "
        f"{estimate.cost:.2f} at the given price"
    )
    if estimate.cost and not yes:
        typer.confirm("Go on?", abort=True, err=True)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_release(facts: dict[str, Any], folder: Path) -> None:
    stats = facts["stats"]
    media = "/".join(f"{count:,}" for count in stats["media"].values())
    for reason, count in facts["dropped"].items():
        _print_plain(f"left out: {count:,} ({reason})")
    _print_plain(
        f"{folder}: {stats['instances']:,} conversations, {stats['in_out']}, {media} images/videos/"
        f"audios, {stats['mean_turns']} turns"
    )


@convert_app.command(name="legacy")
def convert_legacy(
    file: Annotated[Path, typer.Argument(help="pytorch_model.pt of nextgpt_7b_tiva_v0.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    base: Annotated[Path, typer.Option(help="Folder of Vicuna-7B v0.")],
    encoder: Annotated[str, typer.Option(help="The public ImageBind.")] = "imagebind_huge.pth",
) -> None:
    """Convert the NExT-GPT checkpoint that was released in 2023, key by key.

    \b
    anyweave convert legacy pytorch_model.pt nextgpt --base vicuna-7b-v0
    anyweave chat --model nextgpt --device cuda
    """
    from anyweave.legacy import Parts, convert

    with Progress(*Progress.get_default_columns(), DownloadColumn(), console=err) as bar:
        task = bar.add_task("language model", total=None)
        record = convert(
            file,
            output,
            base=base,
            parts=Parts(encoder=encoder),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    _print_plain(f"{output}: made of {record.source}, stage {record.stage}, sha256 {record.sha256}")


SpecOption = Annotated[str, typer.Option(help="A named spec: paper-7b, qwen3-4b, ...")]
ScaleOption = Annotated[
    float, typer.Option(help="Widths times this; 0.05 lets a CPU run every part.")
]
RandomOption = Annotated[
    bool,
    typer.Option("--random-weights/--weights", help="No weights needed, or those of the spec."),
]
PrecisionOption = Annotated[
    str | None, typer.Option(help="bf16 or fp32; the default is bf16 on a GPU.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Also write a page and JSON into this folder.")
]


@bench_app.command(name="train")
def bench_train_command(
    spec: SpecOption = "paper-7b",
    random_weights: RandomOption = True,
    stage: Annotated[int, typer.Option(help="1, 2 or 3.")] = 3,
    batch_size: Annotated[int, typer.Option(help="Conversations per step.")] = 4,
    length: Annotated[int, typer.Option(help="Tokens per conversation.")] = 512,
    steps: Annotated[int, typer.Option(help="Timed steps.")] = 5,
    denoising: Annotated[
        bool, typer.Option("--denoising", help="With the denoising loss: reads the UNets.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = None,
    device: DeviceOption = "cpu",
    output: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time optimizer steps on made-up batches, as from complete caches.

    \b
    anyweave bench train --spec paper-7b --random-weights --device cuda
    anyweave bench train --spec paper-7b --stage 2 --denoising --device cuda
    anyweave bench train --spec paper-7b --scale 0.05 --batch-size 2 --length 128
    """
    from anyweave.benchmarking import bench_train

    kind = precision or ("fp32" if device == "cpu" else "bf16")
    model = _bench_model(spec, random_weights, scale, device, kind)
    with err.status("measuring"):
        report = bench_train(
            model,
            stage=stage,
            batch_size=batch_size,
            length=length,
            steps=steps,
            denoising=denoising,
            gradient_checkpointing=checkpointing,
            precision=kind,
            scale=scale,
        )
    _print_bench(report, output, as_json)


@bench_app.command(name="reply")
def bench_reply_command(
    spec: SpecOption = "paper-7b",
    random_weights: RandomOption = True,
    media: Annotated[
        str | None, typer.Option(help="Read and make only these, e.g. 'image,audio'.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps; the default is the spec's.")
    ] = None,
    side: Annotated[int | None, typer.Option(help="Pixels a side of pictures and clips.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of clips.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed runs of each part.")] = 3,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = None,
    device: DeviceOption = "cpu",
    output: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Time the parts of a reply: reading media, prefill, speech, every decoder.

    \b
    anyweave bench reply --spec paper-7b --random-weights --device cuda
    anyweave bench reply --spec paper-7b --scale 0.05 --media image --steps 2 --side 128
    """
    from anyweave.benchmarking import bench_reply

    kind = precision or ("fp32" if device == "cpu" else "bf16")
    model = _bench_model(spec, random_weights, scale, device, kind)
    size = {"height": side, "width": side, "num_frames": frames}
    with err.status("measuring"):
        report = bench_reply(
            model,
            media=_names(media),
            denoising_steps=steps,
            repeats=repeats,
            precision=kind,
            scale=scale,
            **{name: value for name, value in size.items() if value is not None},
        )
    _print_bench(report, output, as_json)


def _bench_model(spec: str, random_weights: bool, scale: float, device: str, precision: str) -> Any:
    kinds = {"bf16": "bfloat16", "fp32": "float32"}
    if precision not in kinds:
        raise ValueError(f"--precision is bf16 or fp32, got {precision!r}")
    if not random_weights:
        if scale != 1:
            raise ValueError("--scale makes random parts narrower; real weights have their widths")
        from anyweave.model import NextGPT

        return NextGPT.from_pretrained(spec, device=device, dtype=kinds[precision])
    import torch

    from anyweave.benchmarking.random_model import random_model
    from anyweave.model.catalogue import named_spec

    with err.status("making random weights"):
        return random_model(
            named_spec(spec), scale=scale, device=device, dtype=getattr(torch, kinds[precision])
        )


def _print_bench(report: Any, output: Path | None, as_json: bool) -> None:
    if output is not None:
        report.write(output)
    if as_json:
        _print_json(report.to_dict())
    else:
        _print_plain(report.to_markdown())


def _load(model: str, device: str, bridge: str | None = None) -> Any:
    with err.status("loading the model"):
        from anyweave.model.any_to_any import NextGPT

        _hide_loading_bars()
        return NextGPT.from_pretrained(model, device=device, bridge=bridge)


def _hide_loading_bars() -> None:
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()


def _parts(text: str | None, paths: dict[Modality, list[Path] | None]) -> list[Part | str]:
    parts: list[Part | str] = [
        MEDIA_TYPES[m](path) for m, found in paths.items() for path in found or []
    ]
    if text:
        parts.append(text)
    if not parts:
        raise ValueError(
            "nothing to say: give --text, --image, --video or --audio (see anyweave run --help)"
        )
    return parts


def _names(value: str | None) -> Any:
    if value is None:
        return None
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _print_plain(text: str, *, end: str = "\n") -> None:
    # What a model says is no markup.
    out.print(text, end=end, markup=False, highlight=False, emoji=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _status_line() -> Callable[[str | None], None]:
    shown = Status("", console=out)

    def show(text: str | None) -> None:
        if text is None:
            shown.stop()
        else:
            shown.update(text)
            shown.start()

    return show


if __name__ == "__main__":
    main()
