"""The command line: parse, call, print. Every command's ``--help`` teaches by example."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import DownloadColumn, Progress
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
data_app = typer.Typer(no_args_is_help=True, help="Make the data of the emoji world.")
convert_app = typer.Typer(no_args_is_help=True, help="Convert checkpoints of other systems.")
app.add_typer(train_app, name="train")
app.add_typer(eval_app, name="eval")
app.add_typer(data_app, name="data")
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
        str, typer.Argument(help="'emoji-mini', a folder, or a hub id.")
    ] = "emoji-mini",
    as_json: JsonOption = False,
) -> None:
    """Show the parts of a model: their parameters and the share that was trained.

    \b
    anyweave inspect emoji-mini
    anyweave inspect runs/s3/model --json
    """
    from anyweave.model.inspect import inspect_checkpoint

    report = inspect_checkpoint(model).to_dict()
    if as_json:
        _print_json(report)
        return
    table = Table("part", "source", "trained", title=model)
    table.add_column("parameters", justify="right")
    for part in report["parts"]:
        count = part["parameters"]
        shown = "not on this machine" if count is None else f"{count:,}"
        table.add_row(part["part"], part["source"], "yes" if part["role"] else "", shown)
    table.add_section()
    trained = f"{100 * report['trained_share']:.2f} %"
    table.add_row("all", "", trained, f"{report['parameters']:,}")
    out.print(table)


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
    anyweave train part image --out runs/parts      # then video, audio, encoder
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
