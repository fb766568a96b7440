"""Data loading: memory while a large data set streams by, and what a feature cache saves stage 1.

python benchmarks/data_loading.py [--records 1000000] [--out reports/data_loading]

Compared ways alternate within one run and ratios are medians over the rounds, so that a busy
machine disturbs both alike; seconds and rates alone mean little on one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from anyweave.data import MessagesJsonl, Mixture, stream

SHARDS = 16
PICTURES, SIDE, BATCH, STEPS = 96, 256, 8, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("reports/data_loading"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="anyweave-bench-") as folder:
        # Before PyTorch is imported: less memory that is not ours.
        streaming = measure_stream(Path(folder) / "text", given.records)
        print(json.dumps(streaming, indent=1))
        stage = measure_stage(Path(folder), given.rounds)
    load = psutil.getloadavg()[0] / psutil.cpu_count()
    figures = {"streaming": streaming, "stage_1": stage, "load_per_core": round(load, 2)}
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "report.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (given.out / "report.md").write_text(to_markdown(figures), encoding="utf-8")
    print(to_markdown(figures))


# --- streaming


def measure_stream(folder: Path, records: int) -> dict[str, Any]:
    """One shuffled epoch of `records` made-up conversations: memory along the way, and whether each
    came once.
    """
    size = write_records(folder, records)
    seen = np.zeros(records, dtype=np.uint8)
    indexed = _seconds(lambda: stream(folder, "messages"))
    before = _rss()
    source = stream(folder, "messages", seed=1)
    memory, started = [], time.perf_counter()
    marks = {round(records * k / 10) for k in range(11)}
    for count, conversation in enumerate(source.epoch(0)):
        if count in marks:
            memory.append(_rss())
        seen[int(conversation[0].text)] += 1
    seconds = time.perf_counter() - started
    memory.append(_rss())
    entered = _seconds(lambda: stream(folder, "messages", seed=1).at(3, records // 2))
    return {
        "records": records,
        "megabytes_on_disk": round(size / 1e6),
        "each_once": bool((seen == 1).all()),
        "index_seconds": round(indexed, 2),
        "records_per_second": round(records / seconds),
        "rss_mb_before": before,
        "rss_mb_at_tenths": memory,
        "seconds_to_enter_the_middle_of_epoch_3": round(entered, 3),
        "rss_mb_more_with_indices_in_memory": _with_indices_in_memory(folder),
    }


def write_records(folder: Path, records: int) -> int:
    """Conversations in `SHARDS` files; record n asks "n". Returns their size in bytes."""
    folder.mkdir()
    bounds = np.linspace(0, records, SHARDS + 1).astype(int)
    for shard in range(SHARDS):
        with open(folder / f"{shard:03d}.jsonl", "w") as file:
            for n in range(bounds[shard], bounds[shard + 1]):
                reply = "word " * (1 + n % 23)
                file.write(
                    f'{{"messages": [{{"role": "user", "content": "{n}"}}, '
                    f'{{"role": "assistant", "content": "{reply}"}}]}}\n'
                )
    return sum(file.stat().st_size for file in folder.iterdir())


def _with_indices_in_memory(folder: Path) -> float:
    """What the map-style sources take for the same data, indices and order."""
    before = _rss()
    sources = {path.name: MessagesJsonl(path) for path in sorted(folder.glob("*.jsonl"))}
    mixture = Mixture(sources)
    mixture.at(0, 0)
    return round(_rss() - before, 1)


def _rss() -> float:
    return round(psutil.Process().memory_info().rss / 1e6, 1)


# --- stage 1


def measure_stage(folder: Path, rounds: int) -> dict[str, Any]:
    """Pictures under the tiny model: loading alone and stage 1, plain and cached."""
    import torch

    from anyweave.testing.model import tiny_model
    from anyweave.training.precompute import precompute

    torch.set_num_threads(1)
    write_pictures(folder / "pictures")
    model = tiny_model(folder / "parts")
    source = stream(folder / "pictures", "messages", buffer=64, block=16)
    cache = folder / "cache"
    filled = _seconds(lambda: precompute(model, source, cache, progress=False))

    def measured(what: str, how: str, number: int) -> float:
        known = cache if how == "cached" else None
        if what == "loading alone":
            return _load(folder, model, source, known)
        return _train(folder, source, known, f"{how}-{number}")

    runs: dict[str, Callable[[int], float]] = {
        f"{what}, {how}": partial(measured, what, how)
        for what in ("loading alone", "stage 1")
        for how in ("plain", "cached")
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            rates[name].append(BATCH * STEPS / run(number))
    rates = {name: found[1:] for name, found in rates.items()}  # the first warms up
    return {
        "pictures": PICTURES,
        "pixels": SIDE,
        "rounds": rounds,
        "fill_cache_samples_per_second": round(PICTURES / filled, 1),
        "samples_per_second": {
            name: round(statistics.median(found), 1) for name, found in rates.items()
        },
        "times_faster_with_cache": {
            what: _ratio(rates[f"{what}, cached"], rates[f"{what}, plain"])
            for what in ("loading alone", "stage 1")
        },
    }


def write_pictures(folder: Path) -> None:
    """Shards of conversations about pictures of smooth noise."""
    from PIL import Image

    folder.mkdir()
    draw = np.random.default_rng(0)
    for n in range(PICTURES):
        noise = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((SIDE, SIDE)).save(folder / f"{n}.png")
        content = [{"type": "image", "path": f"{n}.png"}, {"type": "text", "text": "what is it?"}]
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": f"noise number {n}"},
        ]
        with open(folder / f"{n % 4}.jsonl", "a") as file:
            file.write(json.dumps({"messages": messages}) + "\n")


def _config(folder: Path, cache: Path | None, run: str) -> Any:
    from anyweave.training.config import DataConfig, ModelConfig, TrainConfig

    return TrainConfig(
        name="bench",
        model=ModelConfig(source="tiny"),
        data=DataConfig(source="pictures", batch_size=BATCH),
        steps=STEPS,
        checkpoint_every=0,
        cache_dir=None if cache is None else str(cache),
        output_dir=str(folder / "runs" / run),
    )


def _load(folder: Path, model: Any, source: Any, cache: Path | None) -> float:
    """Seconds to read and render the batches of a run."""
    from anyweave.processing import FeatureCache
    from anyweave.training.features import FrozenFeatures
    from anyweave.training.loading import rendered_steps
    from anyweave.training.plan import BatchPlan

    frozen = FrozenFeatures(model, None if cache is None else FeatureCache(cache))
    renderer = frozen.renderer(source)
    plan = BatchPlan(size=len(source), batch_size=BATCH, streamed=True)
    steps = rendered_steps(
        plan, renderer, _config(folder, cache, "load"), rank=0, steps=range(STEPS)
    )
    return _seconds(lambda: [None for _ in steps])


def _train(folder: Path, source: Any, cache: Path | None, run: str) -> float:
    """Seconds of the steps of a run."""
    from anyweave.testing.model import tiny_model
    from anyweave.training.trainer import Trainer

    model = tiny_model(folder / "parts")
    report = Trainer(model, _config(folder, cache, run), source).train()
    assert report.samples == BATCH * STEPS
    return float(report.seconds)


def _seconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _ratio(fast: list[float], slow: list[float]) -> float:
    return round(statistics.median(f / s for f, s in zip(fast, slow, strict=True)), 2)


# --- the report


def to_markdown(figures: dict[str, Any]) -> str:
    """The figures as a page."""
    streaming, stage = figures["streaming"], figures["stage_1"]
    memory = streaming["rss_mb_at_tenths"]
    rates, ratios = stage["samples_per_second"], stage["times_faster_with_cache"]
    rows = [
        f"| {what} | {rates[f'{what}, plain']} | {rates[f'{what}, cached']} | {ratio} |"
        for what, ratio in ratios.items()
    ]
    lines = [
        "# Data loading",
        "",
        "Written by `python benchmarks/data_loading.py`, one thread. The machine had other work "
        f"(load {figures['load_per_core']} per core): ratios and memory count, rates do not.",
        "",
        f"## {streaming['records']:,} records as a stream",
        "",
        f"{streaming['megabytes_on_disk']} MB of JSON lines in {SHARDS} shards, one shuffled "
        "epoch, read and checked as conversations.",
        "",
        "| | |",
        "|---|---|",
        f"| every record came exactly once | {'yes' if streaming['each_once'] else 'NO'} |",
        f"| resident memory at the start, middle, end | {memory[0]}, {memory[len(memory) // 2]}, "
        f"{memory[-1]} MB |",
        f"| more, with indices and order in memory | "
        f"{streaming['rss_mb_more_with_indices_in_memory']} MB |",
        f"| records/s | {streaming['records_per_second']:,} |",
        f"| seconds to index the shards, once | {streaming['index_seconds']} |",
        f"| seconds to open them and enter the middle of the fourth epoch | "
        f"{streaming['seconds_to_enter_the_middle_of_epoch_3']} |",
        "",
        "## Stage 1 with and without a feature cache",
        "",
        f"The tiny model on {stage['pictures']} pictures of {stage['pixels']} pixels, batches of "
        f"{BATCH}; samples/s, medians of {stage['rounds']} rounds that alternate.",
        "",
        "| | plain | cached | times faster |",
        "|---|---|---|---|",
        *rows,
        "",
        f"The cache was filled at {stage['fill_cache_samples_per_second']} samples/s. The tiny "
        "model's encoder is a toy: a real one would make the plain column slower.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
