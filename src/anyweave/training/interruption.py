"""Ctrl-C and SIGTERM end a run after the current step; a second one ends it at once."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

logger = logging.getLogger(__name__)


class Interruption:
    """Within ``with``, the first signal sets `requested` and restores the usual handlers.

    Signals can only be caught in the main thread; elsewhere this does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for name in (signal.SIGINT, signal.SIGTERM):
                self._before[name] = signal.signal(name, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()
        logger.warning("stopping after this step; a checkpoint will be saved")

    def _restore(self) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)
