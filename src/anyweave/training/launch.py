"""Turns a config's names into objects and runs it: what the command line and ``torchrun`` call.

torchrun --standalone --nproc_per_node 2 -m anyweave.training.launch tiny-3 --set steps=10
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from anyweave.data.place import ReadOptions
from anyweave.data.records import open_data
from anyweave.data.tables import data_files, names_shards
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.training.cluster import precompute_on_ray
from anyweave.training.config import ModelConfig, TrainConfig
from anyweave.training.own_data import data_of
from anyweave.training.plan import EpochSource, Source
from anyweave.training.precompute import job_name, parts_left, precompute
from anyweave.training.recipes import load_recipe, recipes
from anyweave.training.recipes.fine_tune import fine_tune
from anyweave.training.report import TrainReport
from anyweave.training.trainer import SampleWriter, Trainer

logger = logging.getLogger(__name__)


# By name: generation is a layer above training, and only runs with samples need it.
_SAMPLE_WRITER = "anyweave.generation.samples:write_samples"


def run(
    config: TrainConfig,
    *,
    resume: bool = False,
    write_samples: SampleWriter | None = None,
    model: NextGPT | None = None,
    source: Source | EpochSource | None = None,
) -> TrainReport:
    """Train the config's model on its data, or the given `model` and `source`.

    Raises `ValueError` for a name that cannot be found.
    """
    if config.sample_every and not config.sample_prompts:
        logger.warning("sample_every=%d, but sample_prompts is empty", config.sample_every)
    if config.sample_every and write_samples is None:
        write_samples = _found(_SAMPLE_WRITER, "the writer of samples")
    trainer = Trainer(
        load_model(config) if model is None else model,
        config,
        load_source(config) if source is None else source,
        write_samples=write_samples,
    )
    return trainer.train(resume=resume)


def train(
    model: str | Path | NextGPT | None = None,
    data: str | Path | Source | EpochSource | None = None,
    *,
    output: str | Path | None = None,
    stage: int = 3,
    recipe: str | None = None,
    format: str | None = None,
    read: ReadOptions | None = None,
    steps: int | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
) -> TrainReport:
    """Teach a model your own conversations: ``train("emoji-mini", "mine.jsonl", output="runs/a")``.

    The trained model is in ``OUTPUT/model``.

    Args:
        model: where to start, instead of the recipe's model: an embedded name, a folder, a hub id,
            or a model.
        data: replaces the recipe's data: a file, a data set or shards (which are streamed) in any
            supported format, or conversations.
        output: the run folder.
        stage: 1, 2 or 3.
        recipe: a family ("tiny", "emoji-mini", "paper-7b", "paper-7b-24gb"), a full recipe name or
            ``module:function``. The default is `fine_tune` if a model is given, refined by the
            checkpoint's settings, else "tiny".
        format: of `data`, by name; None detects it. `read` has more options for its rows.
        steps: replaces the recipe's length.
        settings: ``a.b=value`` overrides, which take precedence.

    Raises:
        ValueError: a name that cannot be found, or an unknown setting.
    """
    if stage not in (1, 2, 3):
        raise ValueError(f"a stage is 1, 2 or 3, got {stage!r}")
    if recipe is None and model is not None:
        config = fine_tune(stage, model)
    else:
        name = recipe or "tiny"
        config = load_recipe(name if name in recipes() or ":" in name else f"{name}-{stage}")
    source = None if data is None or isinstance(data, (str, Path)) else data
    loaded = model if isinstance(model, NextGPT) else None
    if source is not None:
        config = replace(config, data=replace(config.data, source="(given in Python)", args={}))
    elif isinstance(data, (str, Path)):
        read = read or ReadOptions(task="generate" if stage == 2 else "describe")
        config = replace(config, data=data_of(config.data, data, format, read))
    if loaded is not None:
        config = replace(config, model=ModelConfig(source=f"({loaded.spec.name}, in memory)"))
    elif model is not None:
        config = replace(config, model=ModelConfig(source=str(model)))
    if output is not None:
        config = replace(config, output_dir=str(output))
    chosen = [] if steps is None else [f"steps={steps}"]
    config = config.with_overrides([*chosen, *settings])
    if recipe is None and config.cache_dir is None:
        config = replace(config, cache_dir=str(Path(config.output_dir) / "cache"))
    logger.info(
        "recipe %s: learning rate %g, batch %d x %d, %s",
        config.name,
        config.optimizer.learning_rate,
        config.data.batch_size,
        config.grad_accumulation,
        f"{config.steps} steps" if config.steps is not None else f"{config.epochs:g} epochs",
    )
    return run(config, resume=resume, model=loaded, source=source)


@dataclass(frozen=True, kw_only=True)
class FilledCache:
    """The content of a filled cache, and the problems of skipped items."""

    entries: int
    size: int
    """Bytes."""
    problems: tuple[str, ...]


def fill_cache(
    data: str | Path,
    cache: str | Path,
    *,
    model: str,
    format: str | None = None,
    latents: bool = True,
    half: bool = False,
    max_bytes: int | None = None,
    processes: int = 1,
    share: tuple[int, int] = (0, 1),
    ray: bool = False,
    device: str = "cpu",
    **options: Any,
) -> FilledCache:
    """Compute the outputs of a model's frozen parts on some data ahead of training: see
    `precompute`.

    Args:
        data: as for `open_data`, which also takes `format` and `options`.
        cache: the folder; runs with this `cache_dir` find everything there.
        half: store values as float16.
        max_bytes: size limit of the folder.
        ray: `processes` are actors of a Ray cluster.

    Raises `ValueError` for a name that cannot be found, and for a full cache.
    """
    store = FeatureCache(cache, dtype=torch.float16 if half else None, max_bytes=max_bytes)

    def loads() -> tuple[NextGPT, Source]:
        return (
            NextGPT.from_pretrained(model, device=device),
            open_data(data, format, **options),
        )

    loaded, source = loads()
    alone = [Path(data)] if Path(data).exists() else []
    files = data_files(data) if names_shards(data) else alone
    job = job_name(loaded, files, str(data), format, options, latents)
    if ray:
        parts = parts_left(source, store, share=share, job=job)
        gpus = 0 if device == "cpu" else 1
        problems = precompute_on_ray(
            loads, parts, store, actors=processes, gpus_each=gpus, latents=latents, job=job
        )
    else:
        problems = precompute(
            loaded, source, store, latents=latents, processes=processes, share=share, job=job
        )
    entries, size = store.store.usage()
    return FilledCache(entries=entries, size=size, problems=tuple(problems))


def load_model(config: TrainConfig) -> NextGPT:
    """The model of a config: an embedded name, folder or hub id, or ``module:function``.

    Encoders are read on first use: never, if the cache is complete.
    """
    source, args = config.model.source, dict(config.model.args)
    if ":" in source:
        return _call(source, args, "model.source")
    return NextGPT.from_pretrained(source, **{"lazy_encoders": True, **args})


def load_source(config: TrainConfig) -> Source | EpochSource:
    """The conversations of a config."""
    return _call(config.data.source, dict(config.data.args), "data.source")


def _call(name: str, args: dict[str, Any], key: str) -> Any:
    return _found(name, key)(**args)


def _found(name: str, key: str) -> Any:
    module, separator, function = name.partition(":")
    if not separator:
        raise ValueError(
            f"{key} is module:function, got {name!r}, for example anyweave.data:MessagesJsonl"
        )
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{key}={name!r} cannot be found: {error}") from error


def main(arguments: list[str] | None = None) -> None:
    """Train a recipe by name; ``--set a.b=value`` changes one value, ``--resume`` continues."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(load_recipe(given.recipe).with_overrides(given.overrides), resume=given.resume)


if __name__ == "__main__":
    main()
