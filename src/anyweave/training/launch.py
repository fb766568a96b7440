"""From a config's names to objects, and a run: what the command line and ``torchrun`` call.

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

from anyweave.data.shards import data_files, names_shards, open_data
from anyweave.model.any_to_any import NextGPT
from anyweave.processing.cache import FeatureCache
from anyweave.training.cluster import precompute_on_ray
from anyweave.training.config import ModelConfig, TrainConfig
from anyweave.training.plan import EpochSource, Source
from anyweave.training.precompute import job_name, parts_left, precompute
from anyweave.training.recipes import load_recipe, recipes
from anyweave.training.recipes.fine_tune import fine_tune
from anyweave.training.report import TrainReport
from anyweave.training.trainer import SampleWriter, Trainer

logger = logging.getLogger(__name__)


def run(
    config: TrainConfig, *, resume: bool = False, write_samples: SampleWriter | None = None
) -> TrainReport:
    """Load the config's model and data and train. Raises `ValueError` for a name of nothing."""
    trainer = Trainer(load_model(config), config, load_source(config), write_samples=write_samples)
    return trainer.train(resume=resume)


def train_stage(
    number: int,
    *,
    recipe: str | None = None,
    data: str | Path | None = None,
    model: str | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    settings: Sequence[str] = (),
    write_samples: SampleWriter | None = None,
) -> TrainReport:
    """Train stage `number` (1 to 3) of a family of recipes and return the run's report.

    Args:
        recipe: a family ("tiny", "emoji-mini", "paper-7b", "paper-7b-24gb"), a full recipe name or
            ``module:function``. By default that of `fine_tune` where a model is given, which the
            checkpoint's own settings refine, and "tiny" where none is.
        data: a `messages` file instead of the recipe's data, or shards, which are streamed.
        model: a checkpoint to start from instead of the recipe's.
        output: the run folder.
        settings: ``a.b=value`` overrides, the last word.

    Raises:
        ValueError: a name that leads nowhere, or a setting that is not one.
    """
    if recipe is None and model is not None:
        config = fine_tune(number, model)
    else:
        name = recipe or "tiny"
        config = load_recipe(name if name in recipes() or ":" in name else f"{name}-{number}")
    if data is not None:
        many = names_shards(data)
        source, name = ("stream", "data") if many else ("MessagesJsonl", "path")
        args = {name: str(data)}
        config = replace(
            config, data=replace(config.data, source=f"anyweave.data:{source}", args=args)
        )
    if model is not None:
        config = replace(config, model=ModelConfig(source=model))
    if output is not None:
        config = replace(config, output_dir=str(output))
    config = config.with_overrides(settings)
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
    return run(config, resume=resume, write_samples=write_samples)


@dataclass(frozen=True, kw_only=True)
class FilledCache:
    """What is in a cache after it was filled, and the problems of items that were left out."""

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
    """Compute what a model's frozen parts make of some data, ahead of training: see `precompute`.

    Args:
        data: as for `open_data`, which also takes `format` and `options`.
        cache: the folder; runs with this `cache_dir` find everything there.
        half: keep numbers as float16.
        max_bytes: bound of the folder.
        ray: `processes` are actors of a Ray cluster.

    Raises `ValueError` for a name of nothing, and for a cache that is full.
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

    Encoders are read when they first encode: with a complete cache, never.
    """
    source, args = config.model.source, dict(config.model.args)
    if ":" in source:
        return _call(source, args, "model.source")
    return NextGPT.from_pretrained(source, **{"lazy_encoders": True, **args})


def load_source(config: TrainConfig) -> Source | EpochSource:
    """The conversations of a config."""
    return _call(config.data.source, dict(config.data.args), "data.source")


def _call(name: str, args: dict[str, Any], key: str) -> Any:
    module, separator, function = name.partition(":")
    if not separator:
        raise ValueError(
            f"{key} is module:function, got {name!r}, for example anyweave.data:MessagesJsonl"
        )
    module = _moved(module)
    try:
        target = getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"{key}={name!r} cannot be found: {error}") from error
    return target(**args)


# Where modules went that configs of older runs name.
_MOVED = {"anyweave.world": "emoji_mini.world"}


def _moved(module: str) -> str:
    for old, new in _MOVED.items():
        if module == old or module.startswith(f"{old}."):
            logger.info("%s is %s now", module, new + module.removeprefix(old))
            return new + module.removeprefix(old)
    return module


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
