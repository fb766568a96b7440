"""`anyweave bench`: speed and memory on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import err, print_json, print_plain
from anyweave.cli.options import DeviceOption, JsonOption, OverwriteOption, read_names
from anyweave.files import check_unmixed

app = typer.Typer(no_args_is_help=True, help="Measure speed and memory on this machine.")

SpecOption = Annotated[str, typer.Option(help="A named spec: paper-7b, qwen3-4b, ...")]
ScaleOption = Annotated[
    float, typer.Option(help="Scale all widths; 0.05 lets a CPU run every part.")
]
RandomOption = Annotated[
    bool,
    typer.Option("--random-weights/--weights", help="Random weights, or those of the spec."),
]
PrecisionOption = Annotated[
    str | None, typer.Option(help="bf16 or fp32; the default is bf16 on a GPU.")
]
ReportOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="Also write a page and JSON into this folder.")
]


@app.command(name="train")
def bench_train_command(
    spec: SpecOption = "paper-7b",
    random_weights: RandomOption = True,
    stage: Annotated[
        int, typer.Option(help="1, 2 or 3; 4 trains adapters of the decoders alone.")
    ] = 3,
    batch_size: Annotated[int, typer.Option(help="Conversations per step.")] = 4,
    length: Annotated[int, typer.Option(help="Tokens per conversation.")] = 512,
    steps: Annotated[int, typer.Option(help="Timed steps.")] = 5,
    denoising: Annotated[
        bool, typer.Option("--denoising", help="Include the denoising loss, which loads the UNets.")
    ] = False,
    decoder_lora: Annotated[
        bool, typer.Option("--decoder-lora", help="Train adapters in the decoders too.")
    ] = False,
    checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory, more time.")
    ] = False,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = None,
    device: DeviceOption = "cpu",
    output: ReportOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Time optimizer steps on synthetic batches, as if from complete caches.

    \b
    anyweave bench train --spec paper-7b --random-weights --device cuda
    anyweave bench train --spec paper-7b --stage 2 --denoising --device cuda
    anyweave bench train --spec emoji-mini --weights --decoder-lora
    anyweave bench train --spec paper-7b --scale 0.05 --batch-size 2 --length 128
    """
    from anyweave.benchmarking import bench_train

    _check_free(output, "bench train", overwrite)
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
            decoder_lora=decoder_lora,
            gradient_checkpointing=checkpointing,
            precision=kind,
            scale=scale,
        )
    _print_bench(report, output, as_json, overwrite)


@app.command(name="reply")
def bench_reply_command(
    spec: SpecOption = "paper-7b",
    random_weights: RandomOption = True,
    media: Annotated[
        str | None, typer.Option(help="Read and make only these, e.g. 'image,audio'.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps; the default is the spec's.")
    ] = None,
    side: Annotated[
        int | None, typer.Option(help="Side length of pictures and clips, in pixels.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of clips.")] = None,
    repeats: Annotated[int, typer.Option(help="Timed runs of each part.")] = 3,
    scale: ScaleOption = 1.0,
    precision: PrecisionOption = None,
    device: DeviceOption = "cpu",
    output: ReportOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Time the parts of a reply: reading media, prefill, speech, every decoder.

    \b
    anyweave bench reply --spec paper-7b --random-weights --device cuda
    anyweave bench reply --spec paper-7b --scale 0.05 --media image --steps 2 --side 128
    """
    from anyweave.benchmarking import bench_reply

    _check_free(output, "bench reply", overwrite)
    kind = precision or ("fp32" if device == "cpu" else "bf16")
    model = _bench_model(spec, random_weights, scale, device, kind)
    size = {"height": side, "width": side, "num_frames": frames}
    with err.status("measuring"):
        report = bench_reply(
            model,
            media=read_names(media),
            denoising_steps=steps,
            repeats=repeats,
            precision=kind,
            scale=scale,
            **{name: value for name, value in size.items() if value is not None},
        )
    _print_bench(report, output, as_json, overwrite)


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


def _check_free(output: Path | None, command: str, overwrite: bool) -> None:
    """Raise before minutes are spent measuring if `output` cannot be written."""
    from anyweave.benchmarking.report import written

    if output is not None:
        check_unmixed(output, written(command), overwrite=overwrite, what="measurements")


def _print_bench(report: Any, output: Path | None, as_json: bool, overwrite: bool) -> None:
    if output is not None:
        report.write(output, overwrite=overwrite)
    if as_json:
        print_json(report.to_dict())
    else:
        print_plain(report.to_markdown())
