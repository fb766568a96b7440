"""Do the parts of emoji-mini learn the same in bfloat16 as in float32, and how much sooner?

python benchmarks/parts_in_bf16.py --steps 60
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean

from anyweave.training.report import read_log
from emoji_mini.parts import audio_encoder, picture_denoiser, picture_encoder
from emoji_mini.parts.fit import FitOptions

Train = Callable[[Path, FitOptions], None]


def prepare(folder: Path) -> dict[str, tuple[str, Train]]:
    """Data for each part, and by its name the folder of its log and what trains it."""
    picture_encoder.draw(folder, pictures=192, clips=48)
    picture_denoiser.encode(folder, 192)
    return {
        "encoder of pictures": ("fit-picture-encoder", picture_encoder.train),
        "encoder of sounds": (
            "fit-audio-encoder",
            lambda parts, options: audio_encoder.train(parts, options, 192),
        ),
        "denoiser and caption encoder": ("fit-denoiser", picture_denoiser.train),
    }


def measure(folder: Path, log: str, train: Train, options: FitOptions) -> tuple[float, float]:
    """The mean loss of the last third of the steps, and processor seconds."""
    began = time.process_time()
    train(folder, options)
    seconds = time.process_time() - began
    rows = read_log(folder / log / "log.jsonl")
    for left in (folder / log).iterdir():  # the next precision begins anew
        left.unlink()
    last = rows[-max(1, len(rows) // 3) :]
    named = [name for name in last[0] if name not in ("step", "samples_per_s", "lr")]
    return mean(sum(row[name] for name in named) for row in last), seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    args = parser.parse_args()
    options = FitOptions(steps=args.steps, batch_size=16, warmup_steps=5, log_every=5)
    lines = ["| part | loss in fp32 | in bf16 | times faster |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as made:
        for name, (log, train) in prepare(Path(made)).items():
            (whole, slow), (half, fast) = (
                measure(Path(made), log, train, replace(options, precision=precision))
                for precision in ("fp32", "bf16")
            )
            lines.append(f"| {name} | {whole:.3f} | {half:.3f} | {slow / fast:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
