"""One module of a frozen part: its class by name and its configuration, built on demand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Component:
    """`kind` is "package:Class". `config` is the content of its configuration file; values equal to
    the class's defaults may be omitted.
    """

    kind: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> Any:
        """The class; imports its package on first use."""
        module, _, name = self.kind.partition(":")
        return getattr(import_module(module), name)

    @property
    def is_module(self) -> bool:
        """Whether it has weights; schedulers and image processors have none."""
        return issubclass(self.type, nn.Module)

    def build(
        self, *, device: torch.device | str = "meta", dtype: torch.dtype = torch.float32
    ) -> Any:
        """The module with random weights, frozen, in eval mode. A component that is not a module (a
        scheduler, an image processor) ignores the device and dtype.
        """
        if not self.is_module:
            return self._construct()
        with torch.device(device), _default_dtype(dtype):
            module: nn.Module = self._construct()
        return module.requires_grad_(False).eval()

    def _construct(self) -> Any:
        if hasattr(self.type, "config_class"):  # transformers
            return self.type(self.type.config_class.from_dict(dict(self.config)))
        if hasattr(self.type, "from_config"):  # diffusers
            return self.type.from_config(dict(self.config))
        return self.type(**self.config)


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    # Building in the target type instead of converting halves a large model's peak memory.
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def parameter_count(module: nn.Module) -> int:
    """Number of parameters of a module; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())
