"""Benchmark results: phases with their times, as JSON, a table and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from anyweave.benchmarking.hardware import device_name, matmul_rate, peak_memory
from anyweave.files import check_unmixed, write_json, write_text
from anyweave.model import NextGPT

HEADINGS = ("phase", "seconds", "samples/s", "tokens/s", "TFLOP/s", "share of matrix rate")


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One timed phase. `flop` counts its matrix operations; `samples` and `tokens` are those of one
    run, 0 if not applicable.
    """

    name: str
    seconds: float
    flop: int
    samples: int = 0
    tokens: int = 0

    @property
    def rate(self) -> float:
        """FLOP/s."""
        return self.flop / self.seconds


@dataclass(frozen=True, kw_only=True)
class BenchReport:
    """Phases of one command on one device. `matrix_rate`: FLOP/s of a large matrix product,
    measured in the same run; `peak_memory`: bytes; `settings`: other choices.
    """

    command: str
    spec: str
    scale: float
    device: str
    precision: str
    parameters: int
    matrix_rate: float
    peak_memory: int
    phases: tuple[Phase, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: NextGPT,
        command: str,
        phases: Sequence[Phase],
        *,
        precision: str,
        scale: float,
        settings: Mapping[str, Any],
    ) -> BenchReport:
        """What was measured of a model, just now and on its device."""
        pool, device = model.decoders, model.device
        parts = (model, *(pool[modality] for modality in pool.loaded))
        return cls(
            command=command,
            spec=model.spec.name,
            scale=scale,
            device=device_name(device),
            precision=precision,
            parameters=sum(p.numel() for part in parts for p in part.parameters()),
            peak_memory=peak_memory(device),
            matrix_rate=matmul_rate(
                device, torch.bfloat16 if precision == "bf16" else torch.float32
            ),
            phases=tuple(phases),
            settings=settings,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the rates."""
        values = asdict(self)
        for shown, phase in zip(values["phases"], self.phases, strict=True):
            shown["samples_per_second"] = phase.samples / phase.seconds
            shown["tokens_per_second"] = phase.tokens / phase.seconds
            shown["share_of_matrix_rate"] = phase.rate / self.matrix_rate
        return values

    def rows(self) -> list[tuple[str, ...]]:
        """The table's rows, in the order of `HEADINGS`."""
        return [
            (
                phase.name,
                f"{phase.seconds:.3f}",
                _or_dash(phase.samples / phase.seconds),
                _or_dash(phase.tokens / phase.seconds),
                f"{phase.rate / 1e12:.3g}",
                f"{100 * phase.rate / self.matrix_rate:.0f} %",
            )
            for phase in self.phases
        ]

    def to_markdown(self) -> str:
        """A page that says what was measured, on what, and what it does not show."""
        chosen = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        lines = [
            f"# {self.command}: {self.spec}",
            "",
            f"Random weights, {self.parameters / 1e6:,.0f} M parameters in memory; {self.device}, "
            f"{self.precision}; {chosen}.",
            "",
            *self._warning(),
            f"Matrix rate of the device, measured in this run: {self.matrix_rate / 1e12:.3g} "
            f"TFLOP/s. Peak memory: {self.peak_memory / 2**30:.2f} GiB"
            f"{' of the whole process' if 'CPU' in self.device else ''}. Every time is the fastest "
            "of its repeats.",
            "",
            "| " + " | ".join(HEADINGS) + " |",
            "|---" + "|---:" * (len(HEADINGS) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in self.rows()),
        ]
        return "\n".join(lines) + "\n"

    def write(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``<command>.md`` and ``<command>.json`` into `folder`; returns the page's path.
        Raises `ValueError` if they exist, unless `overwrite` replaces them.
        """
        check_unmixed(folder, written(self.command), overwrite=overwrite, what="measurements")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name = self.command.replace(" ", "-")
        write_json(folder / f"{name}.json", self.to_dict(), indent=1)
        page = folder / f"{name}.md"
        write_text(page, self.to_markdown())
        return page

    def _warning(self) -> list[str]:
        if self.scale >= 1:
            return []
        return [
            f"**Widths are scaled to {self.scale:g} of {self.spec}'s**: this shows that every part "
            "runs and how its time is spread here. It is no estimate of the full system's speed or "
            "memory.",
            "",
        ]


def _or_dash(value: float) -> str:
    return f"{value:.3g}" if value else "-"


def written(command: str) -> tuple[str, str]:
    """The file names of a command's report ("bench train")."""
    name = command.replace(" ", "-")
    return f"{name}.json", f"{name}.md"
