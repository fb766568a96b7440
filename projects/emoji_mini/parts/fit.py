"""One small loop for the frozen parts: AdamW, moving average of weights, resumable.

The rate is constant and falls in the last fifth, so that a run may be made longer or shorter until
then.

The any-to-any stages have their own loop (`training.trainer`); parts are plain modules with one
loss.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from anyweave.files import whole_file
from anyweave.tensors import explained, multiplies_bfloat16
from anyweave.training.attention import fast_attention

logger = logging.getLogger(__name__)

CONSTANT_SHARE = 0.8
"""Share of the steps at a constant rate, after the warm-up."""


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How long and how fast to train a part. `precision` "bf16" runs the forward in bfloat16
    autocast, where the machine has instructions for it.
    """

    steps: int
    batch_size: int
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    ema_decay: float = 0.999
    precision: str = "bf16"
    device: str = "cpu"
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(
                f"steps and batch_size are at least 1, got {self.steps}, {self.batch_size}"
            )
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision is fp32 or bf16, got {self.precision!r}")


def fit(
    module: nn.Module,
    loss_of: Callable[[torch.Generator], Mapping[str, Tensor]],
    options: FitOptions,
    folder: Path,
) -> dict[str, float]:
    """Train `module` in place; `loss_of(generator)` draws a batch and returns named losses, whose
    sum is minimised.

    The draw of step n depends only on (seed, n), so a run that is killed and started again
    continues as if it had never stopped. At the end the module holds the moving average of its
    weights. Returns the mean of the last losses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "fit.pt"
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=options.learning_rate, weight_decay=1e-3, betas=(0.9, 0.99)
    )
    average = [p.detach().clone() for p in parameters]
    start = 0
    if checkpoint.is_file():
        with explained(str(checkpoint)):
            state = torch.load(checkpoint, map_location=options.device, weights_only=True)
        _check_same(checkpoint, state["options"], options, int(state["step"]))
        with torch.no_grad():
            for parameter, saved in zip(parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
            for buffer, saved in zip(module.buffers(), state["buffers"], strict=True):
                buffer.copy_(saved)  # running statistics of normalisation
        average, start = state["average"], int(state["step"])
        optimizer.load_state_dict(state["optimizer"])
        logger.info("resuming %s at step %d", folder.name, start)
    totals: dict[str, float] = {}
    means: dict[str, float] = {}
    began = time.monotonic()
    module.train()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress, (folder / "log.jsonl").open("a") as log:
        bar = progress.add_task(folder.name, total=options.steps, completed=start)
        for step in range(start, options.steps):
            rate = _learning_rate(step, options)
            for group in optimizer.param_groups:
                group["lr"] = rate
            generator = torch.Generator().manual_seed(options.seed * 1_000_003 + step)
            torch.manual_seed(options.seed * 1_000_003 + step)
            optimizer.zero_grad(set_to_none=True)
            with fast_attention(options.device):
                with torch.autocast(
                    torch.device(options.device).type,
                    torch.bfloat16,
                    enabled=options.precision == "bf16" and multiplies_bfloat16(),
                ):
                    losses = loss_of(generator)
                    total = torch.stack([loss.float() for loss in losses.values()]).sum()
                total.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            decay = min(options.ema_decay, (1 + step) / (10 + step))
            torch._foreach_lerp_(average, [p.detach() for p in parameters], 1 - decay)
            for name, loss in losses.items():
                totals[name] = totals.get(name, 0.0) + float(loss.detach())
            if (step + 1) % options.log_every == 0 or step + 1 == options.steps:
                count = (step % options.log_every) + 1
                means = {name: value / count for name, value in totals.items()}
                speed = (step + 1 - start) * options.batch_size / (time.monotonic() - began)
                row = {"step": step + 1, "samples_per_s": round(speed, 2), "lr": rate, **means}
                log.write(json.dumps(row) + "\n")
                log.flush()
                progress.update(bar, completed=step + 1, description=_describe(folder.name, row))
                totals = {}
            if (step + 1) % options.checkpoint_every == 0 or step + 1 == options.steps:
                _save(checkpoint, module, parameters, average, optimizer, step + 1, options)
    with torch.no_grad():
        for parameter, value in zip(parameters, average, strict=True):
            parameter.copy_(value)
    module.eval()
    return means


def _deciding(options: FitOptions) -> dict[str, Any]:
    """The options that decide what is learnt."""
    free = ("device", "log_every", "checkpoint_every")
    return {name: value for name, value in asdict(options).items() if name not in free}


def _check_same(checkpoint: Path, then: dict[str, Any], options: FitOptions, step: int) -> None:
    now = _deciding(options)
    if step <= CONSTANT_SHARE * min(then["steps"], options.steps):
        then = {**then, "steps": options.steps}  # the rate has not begun to fall in either
    changed = [f"{k} was {then[k]!r}, is {now[k]!r}" for k in now if then[k] != now[k]]
    if changed:
        raise ValueError(
            f"{checkpoint} was begun with other options: {'; '.join(changed)}. Use the old ones, "
            "choose another folder (--out), or remove that file to begin anew"
        )


def _learning_rate(step: int, options: FitOptions) -> float:
    warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
    cooling = (options.steps - step) / ((1 - CONSTANT_SHARE) * options.steps)
    return options.learning_rate * warm * min(1.0, 0.02 + 0.98 * cooling)


def _describe(name: str, row: Mapping[str, float]) -> str:
    losses = " ".join(
        f"{k} {v:.4f}" for k, v in row.items() if k not in ("step", "lr", "samples_per_s")
    )
    return f"{name} {losses} ({row['samples_per_s']:.0f} samples/s)"


def _save(
    path: Path,
    module: nn.Module,
    parameters: list[nn.Parameter],
    average: list[Tensor],
    optimizer: torch.optim.Optimizer,
    step: int,
    options: FitOptions,
) -> None:
    state = {
        "parameters": [p.detach() for p in parameters],
        "buffers": list(module.buffers()),
        "average": average,
        "optimizer": optimizer.state_dict(),
        "step": step,
        "options": _deciding(options),
    }
    with whole_file(path) as file:
        torch.save(state, file)


def halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as shipped: floating-point tensors in half precision."""
    return {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}


def trained_file(name: str, parts: Path | None, trained: Path) -> Path:
    """A part's file in `parts` if one was trained there, else the one in the project's `trained`
    folder.
    """
    here = None if parts is None else parts / name
    return here if here is not None and here.is_file() else trained / name
