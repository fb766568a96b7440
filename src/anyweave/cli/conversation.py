"""Commands that talk to a model or inspect it: run, chat, inspect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from anyweave.cli.console import err, out, print_json, print_plain, status_line
from anyweave.cli.loading import load_finder, load_model
from anyweave.cli.options import (
    DeviceOption,
    IndexOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    TrustOption,
    read_names,
)
from anyweave.files import check_unmixed, clear, free_folder
from anyweave.messages import MEDIA_TYPES, Message, Modality, Part

_REPLY, _TURNS = ("reply-[0-9]*.*",), ("turn-[0-9]*-[0-9]*.*",)

SeedOption = Annotated[int | None, typer.Option(help="Same seed, same reply.")]
TokensOption = Annotated[int, typer.Option(help="Stop a reply after this many tokens.")]
QuantizationOption = Annotated[
    str | None,
    typer.Option(help="'int8': 8-bit weights of the language model, faster on a CPU."),
]
TemperatureOption = Annotated[float, typer.Option(help="0 always picks the likeliest token.")]


def run(
    text: Annotated[str | None, typer.Option("--text", "-t", help="What you say.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture; repeatable.")] = None,
    video: Annotated[list[Path] | None, typer.Option(help="A clip; repeatable.")] = None,
    audio: Annotated[list[Path] | None, typer.Option(help="A sound; repeatable.")] = None,
    media: Annotated[
        list[str] | None,
        typer.Option(
            help="Any other medium, 'table.csv' or 'depth=map.png' (with its kind); repeatable."
        ),
    ] = None,
    model: ModelOption = "emoji-mini",
    output: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the reply's media; default: reply, reply-2, ..."
        ),
    ] = None,
    overwrite: OverwriteOption = False,
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
    quantization: QuantizationOption = None,
    device: DeviceOption = "cpu",
    trust_remote_code: TrustOption = False,
) -> None:
    """Say one thing, with any media, and get one reply, with any media.

    \b
    anyweave run --text "show me two dogs on a beach" --out reply
    anyweave run --image cat.png --text "what does it sound like?" --json
    anyweave run --audio bell.wav --video clip.mp4 --text "what do you hear and see?"
    anyweave run --media animals.csv --text "which has the most legs?"
    anyweave run --text "a fox at night" --force image,video --seed 7
    """
    named = {"image": image, "video": video, "audio": audio}
    user = Message("user", _parts(text, named, media or ()))
    folder = output or free_folder("reply")
    check_unmixed(folder, _REPLY, overwrite=overwrite, what="replies")
    from anyweave.generation import ChatSession, Done, GenerationOptions
    from anyweave.generation.terminal import why_cut_off
    from anyweave.generation.writing import write_message

    options = GenerationOptions(
        temperature=temperature,
        max_new_tokens=max_new_tokens,
        seed=seed,
        modalities=read_names(modalities),
        force=read_names(force) or (),
        num_inference_steps=steps,
        guidance_scale=guidance,
        quantization=cast("Any", quantization),
    )
    loaded = load_model(model, device, trust_remote_code=trust_remote_code)
    with err.status("thinking"):
        *_, done = ChatSession(loaded, options).send(user)
    assert isinstance(done, Done)
    if cut := why_cut_off(done):
        err.print(f"cut off: {cut}", highlight=False)
    clear(folder, _REPLY)
    parts = write_message(done.message, folder)
    if as_json:
        print_json({"model": model, "parts": parts})
        return
    for part in parts:
        if part["type"] != "text":
            print_plain(f"{part['type']}: {part['path']}")
        elif part["text"].strip():
            print_plain(part["text"].strip())


def chat(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="'emoji-mini' (the default), a folder, or a hub id; with --url a name there.",
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Talk to a server such as 'anyweave serve'.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="ANYWEAVE_API_KEY", help="Of that server.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for replies' media; default: chat, chat-2, ..."),
    ] = None,
    overwrite: OverwriteOption = False,
    pictures: Annotated[
        str,
        typer.Option(help="How to draw them: auto, kitty, iterm, sixel, blocks or none."),
    ] = "auto",
    play: Annotated[bool, typer.Option(help="Play sounds, where there is a player.")] = True,
    edit: Annotated[
        str | None,
        typer.Option(
            help="Make a new medium from the latest of its kind, and change the one thing: "
            "auto (where nearly the same is asked for), never or always. Default: "
            "auto, and with --url what the server does."
        ),
    ] = None,
    index: IndexOption = None,
    temperature: TemperatureOption = 0.3,
    max_new_tokens: TokensOption = 128,
    seed: SeedOption = None,
    quantization: QuantizationOption = None,
    device: Annotated[str | None, typer.Option(help="cpu (the default), cuda, cuda:1, mps")] = None,
    trust_remote_code: TrustOption = False,
) -> None:
    """Talk in the terminal. Media go in by path; replies' media are saved, named and shown.

    \b
    anyweave chat --out my-chat
    anyweave chat --url http://127.0.0.1:8000     # with a model that is served
    you> show me a fox at night
    you> @photos/dog.png what does it sound like?
    you> /help
    """
    folder = output or free_folder("chat")
    check_unmixed(folder, _TURNS, overwrite=overwrite, what="replies")
    from anyweave.cli.showing import shower

    show = shower(pictures, play=play)
    from anyweave.generation import ChatSession, GenerationOptions
    from anyweave.generation.remote import RemoteSession
    from anyweave.generation.terminal import Session, converse

    make_session: Callable[[], Session]
    if url is not None:
        if quantization or device or trust_remote_code or index:
            raise ValueError(
                "--quantization, --device, --trust-remote-code and --index are for a model that is "
                "loaded here; with --url they belong to the server"
            )
        make_session = partial(
            RemoteSession,
            url,
            api_key=api_key,
            model=model,
            temperature=temperature,
            max_tokens=max_new_tokens,
            seed=seed,
            edit=edit,
        )
    else:
        options = GenerationOptions(
            temperature=temperature,
            seed=seed,
            max_new_tokens=max_new_tokens,
            edit=cast("Any", edit or "auto"),
            quantization=cast("Any", quantization),
        )
        loaded = load_model(
            model or "emoji-mini", device or "cpu", trust_remote_code=trust_remote_code
        )
        finder = load_finder(index, loaded)
        make_session = partial(ChatSession, loaded, options, finder=finder)
    made = [make_session()]  # before turns of an earlier conversation are removed
    clear(folder, _TURNS)
    print_plain("Write anything; /help says what else there is.")
    converse(
        lambda: made.pop() if made else make_session(),
        folder,
        ask=lambda: out.input("[bold]you>[/bold] "),
        say=print_plain,
        status=status_line(),
        show=show,
    )


def inspect(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="'emoji-mini', a folder, a hub id, a spec's name (see --list), or media files.",
        ),
    ] = None,
    as_json: JsonOption = False,
    list_specs: Annotated[bool, typer.Option("--list", help="List the specs by name.")] = False,
) -> None:
    """Show the parts of a model or of a spec: parameters, licences, memory. Needs no weights.
    For a picture, clip or sound: whether it is marked as made by a model.

    \b
    anyweave inspect emoji-mini
    anyweave inspect paper-7b                     # beside the paper's Table 1
    anyweave inspect --list
    anyweave inspect runs/s3/model --json
    anyweave inspect reply/*.png holiday.jpg    # generated or not?
    """
    from anyweave.media.provenance import inspect_file
    from anyweave.model.catalogue import SPECS
    from anyweave.model.inspect import ModelReport, inspect_checkpoint
    from anyweave.model.inspect_tables import render_list, render_report

    with err.status("counting"):
        reports = [
            inspect_file(name) if Path(name).is_file() else inspect_checkpoint(name)
            for name in (SPECS if list_specs else names or ["emoji-mini"])
        ]
    if as_json:
        made = [report.to_dict() for report in reports]
        print_json(made if list_specs or len(made) > 1 else made[0])
        return
    models = [report for report in reports if isinstance(report, ModelReport)]
    if list_specs:
        out.print(render_list(models))
    for report in () if list_specs else reports:
        if isinstance(report, ModelReport):
            out.print(render_report(report))
        else:
            print_plain(str(report))


def _parts(
    text: str | None, paths: dict[Modality, list[Path] | None], others: Sequence[str]
) -> list[Part | str]:
    parts: list[Part | str] = [
        MEDIA_TYPES[m](path) for m, found in paths.items() for path in found or []
    ]
    for other in others:
        from anyweave.media.sniffing import sniff

        kind, named, path = other.partition("=")
        parts.append(MEDIA_TYPES[kind if named else sniff(other)](path if named else other))
    if text:
        parts.append(text)
    if not parts:
        raise ValueError(
            "nothing to say: give --text, --image, --video, --audio or --media "
            "(see anyweave run --help)"
        )
    return parts
