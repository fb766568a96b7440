"""Starting without garbage collection: Python's collector would walk again and again over what
imports and loading create, which stays, and take a quarter of a cold start.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_FRESH = 200_000  # objects; a process that holds more did not just start


@contextmanager
def searched_later(*, lasting: bool = False) -> Iterator[None]:
    """Turn off the garbage collector within the block.

    `lasting`: if the process had just started, what exists at the end of the block is not searched
    afterwards either. For imports: modules stay.
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
