"""The frozen networks of a decoder: loaded on first use and, with `offload`, on the device only
while they run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Deferred:
    """A network known by its `config`; `load` reads it on first use."""

    config: Any
    load: Callable[[], nn.Module]


class FrozenParts(nn.Module):
    """Named networks that never train. ``decoder.unet`` loads the UNet if necessary.

    Moving and converting apply to loaded parts at once and to others when they load. Asking for
    weights (`parameters`, `state_dict`) loads everything.
    """

    _anchor: Tensor

    def __init__(
        self,
        parts: Mapping[str, nn.Module | Deferred | None],
        *,
        dtype: torch.dtype,
        offload: bool = False,
    ) -> None:
        super().__init__()
        self.offload = offload
        self._loaders = {name: p.load for name, p in parts.items() if isinstance(p, Deferred)}
        self._changes: dict[str, list[Callable[[nn.Module], None]]] = {}
        # An empty tensor that moves with the parts. It records device and dtype for parts that are
        # loaded later or offloaded.
        given = next((p for p in parts.values() if isinstance(p, nn.Module)), None)
        weight = None if given is None else next(given.parameters(), None)
        anchor = torch.empty(0, dtype=dtype) if weight is None else weight.new_empty(0)
        self.register_buffer("_anchor", anchor.detach(), persistent=False)
        for name, part in parts.items():
            if not isinstance(part, Deferred):
                setattr(self, name, part)
        self.requires_grad_(False)
        self.eval()

    def __getattr__(self, name: str) -> Any:
        loaders = self.__dict__.get("_loaders", {})
        if name not in loaders or name in self._modules:
            return super().__getattr__(name)
        # Tensors made in inference mode could never take part in training.
        with torch.inference_mode(False):
            part = loaders[name]().requires_grad_(False).eval()
            part = part.to("cpu" if self.offload else self.device)
            setattr(self, name, self._converted(part))
            for change in self._changes.get(name, ()):
                change(part)
        return part

    def on_reading(self, name: str, change: Callable[[nn.Module], None]) -> None:
        """Apply `change` to the part `name`: now if it is in memory, and every time it loads."""
        self._changes.setdefault(name, []).append(change)
        if name in self.in_memory:
            with torch.inference_mode(False):
                change(getattr(self, name))

    @property
    def device(self) -> torch.device:
        """The device the parts compute on."""
        return self._anchor.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype the parts compute in."""
        return self._anchor.dtype

    @contextmanager
    def use(self, name: str) -> Iterator[Any]:
        """The part `name`, on the device; an offloaded one returns to the CPU afterwards."""
        part = getattr(self, name)
        if not self.offload:
            yield part
            return
        try:
            with torch.inference_mode(False):
                part.to(self.device)
            yield part
        finally:
            with torch.inference_mode(False):
                part.to("cpu")

    @property
    def in_memory(self) -> tuple[str, ...]:
        """Names of the parts that were given or loaded."""
        return tuple(name for name, part in self._modules.items() if part is not None)

    def release(self, name: str) -> None:
        """Drop a part that was read from disk; the next use reads it again."""
        if name in self._loaders:
            self._modules.pop(name, None)

    def load(self) -> None:
        """Load every part that is not in memory yet."""
        for name in self._loaders:
            getattr(self, name)

    def train(self, mode: bool = True) -> FrozenParts:
        """Frozen parts stay in eval mode, whatever their owner does."""
        super().train(False)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> FrozenParts:
        """Applies to parts in memory; parts loaded later are frozen."""
        for part in self.children():
            part.requires_grad_(requires_grad)
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        self.load()
        return super().named_parameters(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        self.load()
        state: dict[str, Any] = super().state_dict(*args, **kwargs)
        return state

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FrozenParts:
        if not self.offload:
            super()._apply(fn, recurse)
            return self
        self._anchor = fn(self._anchor)
        for part in self.children():
            self._converted(part)
        return self

    def _converted(self, part: nn.Module) -> nn.Module:
        # diffusers leaves some of a network in float32, and its buffers too: converting all of it
        # because of them would lose that.
        kept = set(getattr(part, "_keep_in_fp32_modules", None) or ())
        other = any(
            parameter.dtype != self.dtype and not kept & set(name.split("."))
            for name, parameter in part.named_parameters()
        )
        return part.to(dtype=self.dtype) if other else part
