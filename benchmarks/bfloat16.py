"""What bfloat16 costs or saves on this processor: matrix products, and replies of emoji-mini with
the language model in float32 and in bfloat16, in turn, as ratios of one run.

python benchmarks/bfloat16.py
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch

import anyweave as aw
from anyweave.tensors import multiplies_bfloat16

TYPES = ("float32", "bfloat16")


def products(rows: int) -> dict[str, Callable[[], object]]:
    """`rows` states through a matrix of the language model's size."""
    found: dict[str, Callable[[], object]] = {}
    for name in TYPES:
        kind = getattr(torch, name)
        states, matrix = torch.randn(rows, 576, dtype=kind), torch.randn(576, 1536, dtype=kind)
        found[name] = partial(_multiply, states, matrix)
    return found


def _multiply(states: torch.Tensor, matrix: torch.Tensor) -> None:
    for _ in range(20):
        states @ matrix


def replies() -> dict[str, Callable[[], object]]:
    options = aw.GenerationOptions(max_new_tokens=24, temperature=0.0, modalities=())
    models = {name: aw.load("emoji-mini", dtype=name) for name in TYPES}
    return {name: partial(_answer, model, options) for name, model in models.items()}


def _answer(model: aw.NextGPT, options: aw.GenerationOptions) -> None:
    model.chat(options).reply(["Tell me what you can do, and what you would rather not do."])


def compare(what: str, work: dict[str, Callable[[], object]], repeats: int) -> str:
    for run in work.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    full, half = (median(seconds[name]) for name in TYPES)
    return f"| {what} | {1000 * full:.1f} | {1000 * half:.1f} | {half / full:.2f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    sys.stdout.write(f"instructions for bfloat16: {'yes' if multiplies_bfloat16() else 'no'}\n\n")
    lines = ["| | float32, ms | bfloat16, ms | times as long |", "|---|---|---|---|"]
    for rows in (1, 8, 64, 512):
        lines.append(
            compare(f"20 products, {rows} row{'s' * (rows > 1)}", products(rows), args.repeats)
        )
    lines.append(compare("a reply of 24 tokens to a short question", replies(), args.repeats))
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
