"""`anyweave data features`: fill a feature cache ahead of training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import print_json, print_plain
from anyweave.cli.data.reading import FormatOption, reads_data
from anyweave.cli.loading import hide_loading_bars
from anyweave.cli.options import DeviceOption, JsonOption, ModelOption


@reads_data()
def data_features(
    *,
    read: dict[str, Any],
    data: Annotated[
        str, typer.Argument(help="A data file, a folder of shards, or 'shards/{000..127}.tar'.")
    ],
    cache: Annotated[Path, typer.Option(help="Folder of the cache; the runs' cache_dir.")],
    model: ModelOption = "emoji-mini",
    processes: Annotated[
        int, typer.Option(help="Processes on the CPU, or actors of a cluster.")
    ] = 1,
    share: Annotated[
        str, typer.Option(help="2/4 is the second of four shares, to run one command per GPU.")
    ] = "1/1",
    half: Annotated[bool, typer.Option("--half", help="Keep numbers as float16.")] = False,
    max_gb: Annotated[
        float | None, typer.Option(help="Size limit of the folder, stored in it; default: none.")
    ] = None,
    latents: Annotated[
        bool, typer.Option(help="Also latents of the assistant's media; stages 2 and 3 need them.")
    ] = True,
    ray: Annotated[bool, typer.Option("--ray", help="On a Ray cluster (extra: ray).")] = False,
    read_as: FormatOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Compute encoder features, caption embeddings and latents once. Resumes if stopped.

    \b
    anyweave data features train.jsonl --cache cache --processes 4
    anyweave data features 'cc3m/{000..331}.tar' --model paper-7b --cache cache --half \\
        --device cuda:1 --share 2/8
    """
    from anyweave.training.launch import fill_cache

    hide_loading_bars()
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
        **read,
    )
    if as_json:
        print_json(asdict(filled))
        return
    left_out = f"; {len(filled.problems):,} items left out" if filled.problems else ""
    print_plain(f"{filled.entries:,} entries, {filled.size / 1e6:.1f} MB in {cache}{left_out}")
