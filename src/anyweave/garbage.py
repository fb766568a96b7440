"""Starting without a search for garbage: Python's collector would walk again and again over what
imports and loading make, which stays, and a quarter of a cold start is spent on it.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_FRESH = 200_000  # objects; a process that holds more had a life before


@contextmanager
def searched_later(*, lasting: bool = False) -> Iterator[None]:
    """Within the block nobody looks for garbage cycles.

    `lasting`: what is there at its end will not be looked through afterwards either, if the process
    had just begun. For imports: modules stay.
    """
    running, fresh = gc.isenabled(), lasting and len(gc.get_objects()) < _FRESH
    gc.disable()
    try:
        yield
    finally:
        if running and fresh:
            gc.freeze()
        if running:
            gc.enable()
