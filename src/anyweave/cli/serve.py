"""`anyweave serve`: serve a model to clients of OpenAI's API."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from anyweave.cli.console import err
from anyweave.cli.loading import load_finder, load_model
from anyweave.cli.options import DeviceOption, IndexOption, ModelOption, TrustOption

KEYS_VARIABLE = "ANYWEAVE_API_KEYS"


HostOption = Annotated[
    str, typer.Option(help="The address to listen on; 0.0.0.0 means all and needs keys.")
]
PortOption = Annotated[int, typer.Option(help="0 chooses a free one.")]
NameOption = Annotated[
    str | None, typer.Option(help="What clients call the model; default: as --model.")
]
KeyFileOption = Annotated[
    Path | None,
    typer.Option(help=f"API keys, one a line; or set {KEYS_VARIABLE}, separated by commas."),
]
NoKeyOption = Annotated[
    bool, typer.Option("--no-key", help="Admit everyone who can reach --host. Think twice.")
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(help="A name by which clients call this server; repeatable."),
]
CorsOption = Annotated[
    list[str] | None,
    typer.Option(help="Web pages that may call it, like https://app.example.org; repeatable."),
]
MediaHostOption = Annotated[
    list[str] | None,
    typer.Option(help="A host from which media may be fetched by URL; default: none; repeatable."),
]
MediaRootOption = Annotated[
    Path | None,
    typer.Option(help="A folder whose files requests may name; none by default."),
]
PublicOption = Annotated[
    str | None, typer.Option(help="The address that clients use, if it runs behind a proxy.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option("--folder", help="Where jobs and media of replies are kept."),
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(help="NAME=VALUE, such as max_waiting=200; 'help' lists them; again."),
]
QuantizationOption = Annotated[
    str | None,
    typer.Option(help="'int8': 8-bit weights of the language model, faster on a CPU."),
]
RayOption = Annotated[
    bool,
    typer.Option("--ray", help="Put the model on a Ray cluster (extra: ray), part by part."),
]
ScaleOption = Annotated[
    list[str] | None,
    typer.Option(
        help="With --ray: replicas of 'language' or a decoder, like image=1-4,gpus=0.5; again."
    ),
]


def serve(
    model: ModelOption = "emoji-mini",
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    name: NameOption = None,
    api_key_file: KeyFileOption = None,
    no_key: NoKeyOption = False,
    allow_host: AllowHostOption = None,
    cors_origin: CorsOption = None,
    media_host: MediaHostOption = None,
    media_root: MediaRootOption = None,
    public_url: PublicOption = None,
    folder: FolderOption = None,
    limit: LimitOption = None,
    quantization: QuantizationOption = None,
    index: IndexOption = None,
    ray: RayOption = False,
    scale: ScaleOption = None,
    device: DeviceOption = "cpu",
    trust_remote_code: TrustOption = False,
) -> None:
    """Serve a model to clients of OpenAI's API, with media in both directions.

    \b
    anyweave serve                                  # this machine alone, http://127.0.0.1:8000
    anyweave serve --model runs/mine/model --port 9000
    anyweave serve --host 0.0.0.0 --api-key-file keys.txt --allow-host chat.example.org
    anyweave serve --limit max_waiting=200 --limit timeout=120
    anyweave serve --limit help
    anyweave serve --ray --scale language=2,gpus=1 --scale image=1-4,gpus=0.5

    Then, from anywhere that reaches it:

    \b
    curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
      -d '{"messages": [{"role": "user", "content": "show me a fox"}]}'
    """
    _check_installed()
    from anyweave.generation import GenerationOptions
    from anyweave.serving import Settings, bind, create_app
    from anyweave.serving import serve as run_server

    if limit == ["help"]:
        _list_limits(Settings)
        return
    kept: dict[str, Any] = {"folder": folder} if folder else {}
    settings = Settings(
        name=name or model,
        api_keys=_keys(api_key_file, host, no_key=no_key),
        allowed_hosts=tuple(allow_host or ()),
        cors_origins=tuple(cors_origin or ()),
        media_hosts=tuple(media_host or ()),
        media_root=media_root,
        public_url=public_url,
        **kept,
        **_limits(Settings, limit or ()),
    )
    if (ray or scale) and (not ray or device != "cpu"):
        raise ValueError(
            "--scale goes with --ray, and --device without: a part with gpus=1 is on a GPU"
        )
    if ray and index is not None:
        raise ValueError("--index is for a model in this process, not for one on a cluster")
    options = GenerationOptions(quantization=cast("Any", quantization))
    with ExitStack() as stack:
        bound = stack.enter_context(closing(bind(host, port)))  # fail before minutes of loading
        if ray:
            engine = stack.enter_context(
                closing(_cluster(model, options, settings, scale or [], trust_remote_code))
            )
            app = create_app(engine, settings)
        else:
            loaded = load_model(model, device, trust_remote_code=trust_remote_code)
            app = create_app(loaded, settings, options, load_finder(index, loaded))
        run_server(app, settings, bound=bound, ready=_greet)


def _check_installed() -> None:
    try:
        import anyweave.serving  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("anyweave"):
            raise
        raise ValueError(
            f"the server needs {error.name}, which is not installed: pip install 'anyweave[serve]'"
        ) from error


def _keys(file: Path | None, host: str, *, no_key: bool) -> tuple[str, ...]:
    """The API keys. Raises `ValueError` if other machines could connect without one."""
    from anyweave.serving.server import is_loopback
    from anyweave.serving.settings import check_keys, read_keys

    given = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",") if key.strip()]
    keys = check_keys(given, KEYS_VARIABLE) + (read_keys(file) if file else ())
    if not (keys or no_key or is_loopback(host)):
        raise ValueError(
            f"--host {host} lets other machines in, and there is no API key; give --api-key-file, "
            "or --no-key if everybody who reaches this machine may use it"
        )
    return keys


def _cluster(
    model: str, options: Any, settings: Any, scales: list[str], trust_remote_code: bool
) -> Any:
    from anyweave.serving.cluster import ClusterEngine, read_scales

    with err.status("starting the model's parts on the cluster"):
        return ClusterEngine(
            model,
            options,
            rows=settings.max_running,
            scales=read_scales(scales),
            trust_remote_code=trust_remote_code,
        )


def _greet(url: str) -> None:
    err.print(f"anyweave answers at [bold]{url}[/bold] (API: {url}/docs). Ctrl-C ends it.")


def _limits(settings: Any, given: Any) -> dict[str, Any]:
    """Limits by name. Raises `ValueError` for an unknown one or a value that is not a number."""
    known = _numbers(settings)
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if name not in known or not equals:
            from anyweave.errors import nearest

            raise ValueError(f"--limit takes NAME=VALUE, got {one!r}; {nearest(name, known)}")
        try:
            found[name] = type(known[name])(value)
        except ValueError:
            raise ValueError(f"--limit {name} takes a number, got {value!r}") from None
    of_media = {name: found.pop(name) for name in list(found) if not hasattr(settings, name)}
    return {**found, "media_limits": replace(settings.media_limits, **of_media)}


def _numbers(settings: Any) -> dict[str, int | float]:
    """The limits with their defaults: the server's own, then those of one medium."""
    own = {field.name: field.default for field in fields(settings)}
    numbers = {name: value for name, value in own.items() if isinstance(value, (int, float))}
    return numbers | vars(settings.media_limits)


def _list_limits(settings: Any) -> None:
    from rich.table import Table

    from anyweave.cli.console import out

    table = Table("limit", "default", title="--limit NAME=VALUE (bytes, seconds)")
    for name, value in _numbers(settings).items():
        table.add_row(name, f"{value:,}")
    out.print(table)
