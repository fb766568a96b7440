"""`anyweave eval world`, `ablation` and `paths`: measure a model in the emoji world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from anyweave.cli.console import print_json, print_plain, progress_bar
from anyweave.cli.loading import hide_loading_bars, load_model
from anyweave.cli.options import (
    DeviceOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    TrustOption,
    read_names,
)

BridgeOption = Annotated[
    str | None,
    typer.Option(help="What conditions the decoders: 'signal' states or the reply's 'caption'."),
]


def eval_world(
    model: ModelOption = "emoji-mini",
    trials: Annotated[int, typer.Option(help="Trials per task, where it has as many.")] = 64,
    output: Annotated[Path, typer.Option("--out", "-o", help="Report folder.")] = Path(
        "runs/world"
    ),
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    seed: Annotated[int, typer.Option(help="Same seed, same scenes and replies.")] = 0,
    tasks: Annotated[
        str | None, typer.Option(help="Only these, e.g. 'make image,make audio'.")
    ] = None,
    bridge: BridgeOption = None,
    device: DeviceOption = "cpu",
    trust_remote_code: TrustOption = False,
) -> None:
    """Measure perception, decisions and generation on held-out scenes of the emoji world.

    \b
    anyweave eval world --trials 200          # the same command goes on where it was stopped
    anyweave eval world --bridge signal --tasks "make image,make audio"
    anyweave eval world --model runs/s3/model --json
    """
    from anyweave.model.checkpoint import find_checkpoint
    from anyweave.model.hashing import folder_sha256
    from emoji_mini.evaluation.run import run_world
    from emoji_mini.evaluation.trials import choose_tasks

    names = read_names(tasks)
    choose_tasks(names)  # report a mistyped name before loading the model
    loaded = load_model(model, device, bridge, trust_remote_code=trust_remote_code)
    report = run_world(
        loaded,
        output,
        num_trials=trials,
        seed=seed,
        tasks=names,
        identity={"weights_sha256": folder_sha256(find_checkpoint(model))},
        overwrite=overwrite,
    )
    if as_json:
        print_json(report.to_dict())
    else:
        print_plain(report.to_markdown())


def eval_ablation(
    name: Annotated[str, typer.Argument(help="input-projector, signal-tokens, losses or bridge.")],
    model: ModelOption = "emoji-mini",
    steps: Annotated[int, typer.Option(help="Training steps of every variant.")] = 30,
    trials: Annotated[int, typer.Option(help="Replies per measure.")] = 16,
    seed: Annotated[int, typer.Option(help="Same seed, same data, scenes and replies.")] = 0,
    output: Annotated[Path, typer.Option("--out", "-o", help="Folder of the runs.")] = Path(
        "runs/ablations"
    ),
    report: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("runs/ablations"),
    overwrite: OverwriteOption = False,
    device: DeviceOption = "cpu",
) -> None:
    """Train variants that differ in one thing, measure them and write one table. Resumable.

    \b
    anyweave eval ablation input-projector     # grouping, linear, qformer
    anyweave eval ablation signal-tokens --steps 100 --trials 64
    anyweave eval ablation losses              # alignment, denoising, both
    anyweave eval ablation bridge              # nothing to train
    """
    from emoji_mini.evaluation.ablations import run_ablation

    hide_loading_bars()
    comparison = run_ablation(
        name,
        output / name,
        report=report,
        base=model,
        steps=steps,
        trials=trials,
        seed=seed,
        device=device,
        overwrite=overwrite,
    )
    print_plain(comparison.to_markdown())


def eval_paths(
    model: ModelOption = "emoji-mini",
    cascade: Annotated[
        str | None,
        typer.Option(help="A third path: a model with the same decoders, a folder or a name."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Questions per task.")] = 64,
    seed: Annotated[int, typer.Option(help="Same seed, same questions and noise.")] = 0,
    report: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("runs/paths"),
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    device: DeviceOption = "cpu",
    trust_remote_code: TrustOption = False,
) -> None:
    """Compare end to end with the pipeline: counting, places, "like this, but", references.

    \b
    anyweave eval paths --trials 100
    anyweave eval paths --cascade cascade-mini --json
    """
    from emoji_mini.evaluation.comparison import check_same_settings
    from emoji_mini.evaluation.paths import compare_paths, tasks_of

    settings = {"model": model, "trials": trials, "seed": seed}
    settings |= {} if cascade is None else {"cascade": cascade}
    if not overwrite:
        check_same_settings(report, "paths", settings)

    def load(path: str, bridge: str | None) -> Any:
        return load_model(path, device, bridge, trust_remote_code=trust_remote_code)

    models = {bridge: load(model, bridge) for bridge in ("signal", "caption")}
    if cascade is not None:
        models["cascade"] = load(cascade, None)
    total, done = trials * sum(len(tasks_of(one, seed)) for one in models.values()), 0
    with progress_bar("answering") as progress:

        def tick(task: str) -> None:
            nonlocal done
            done += 1
            progress(done, total)

        found = compare_paths(models, settings=settings, trials=trials, seed=seed, tick=tick)
    found.save(report)
    if as_json:
        print_json(found.to_dict())
    else:
        print_plain(found.to_markdown())
