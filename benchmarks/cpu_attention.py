"""How much faster parts train on a CPU with plain attention than with the fused kernel.

    python benchmarks/cpu_attention.py --threads 1

Both kernels in turns, in one process; the ratio is what counts. See `training.attention`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from anyweave.model.any_to_any import NextGPT
from anyweave.training.attention import fast_attention


def unet_step(model: NextGPT) -> Callable[[], None]:
    """One training step of emoji-mini's picture decoder, 32 latents."""
    unet = model.decoders["image"].unet.float().requires_grad_(True)
    latents, text = torch.randn(32, 4, 16, 16), torch.randn(32, 16, 128)
    timesteps = torch.randint(0, 1000, (32,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = unet(latents, timesteps, encoder_hidden_states=text).sample.float().square()
        loss.mean().backward()

    return step


def language_step(model: NextGPT, count: int, length: int) -> Callable[[], None]:
    """One training step of the language model and its adapters: conversations of so many tokens."""
    for parameter in model.parameters_of("lora").values():
        parameter.requires_grad_(True)
    ids = torch.randint(0, 1000, (count, length))

    def step() -> None:
        hidden, _ = model.language(model.language.embed(ids), attention_mask=torch.ones_like(ids))
        hidden.float().square().mean().backward()

    return step


def seconds(step: Callable[[], None], repeats: int, *, plain: bool) -> float:
    times = []
    with fast_attention("cpu") if plain else nullcontext():
        step()
        for _ in range(repeats):
            began = time.perf_counter()
            step()
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    model = NextGPT.from_pretrained("emoji-mini")
    steps = {
        "picture decoder": unet_step(model),
        "language model, 16 conversations of 40 tokens": language_step(model, 16, 40),
        "language model, 8 conversations of 256 tokens": language_step(model, 8, 256),
    }
    for name, step in steps.items():
        fused, plain = (seconds(step, given.repeats, plain=value) for value in (False, True))
        print(f"{name}: fused {fused:.2f} s, plain {plain:.2f} s, {fused / plain:.2f} times faster")


if __name__ == "__main__":
    main()
