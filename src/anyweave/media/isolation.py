"""Decoding of untrusted media, in processes that may die.

Decoders are C: a hostile file can crash one, fill the memory or keep it busy for minutes, where our
limits are not checked. A replaceable process calls `may_die`: its memory and the CPU time of each
medium are bounded, and the system kills it beyond that. A process that must survive calls
`isolate`: a child that may die decodes for it, and whatever happens to the child is one
`MediaError`. Arrays are never sent there: they are already decoded.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from anyweave.media.errors import Limits, MediaError, media_error
from anyweave.messages import Media, kind_of

try:
    import resource
except ImportError:  # Windows has no such bounds; a child still dies alone
    resource = None  # type: ignore[assignment]

MEMORY = 6 * 2**30
"""Bytes that decoding may use beyond what the process has when it begins."""
_PATIENCE = 4  # seconds of waiting per second of CPU time: machines are shared
_START = (
    "import sys; from anyweave import media; media.isolation.serve(int(sys.argv[1]), media.read)"
)

Read = tuple[np.ndarray, float | None]


class Decoder:
    """A child process that decodes, started on demand and restarted after it dies. Threads take
    turns; a fork gets a child of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._owner = 0

    def read(self, part: Media, sample_rate: int, limits: Limits) -> Read:
        """The array and the rate of an encoded medium. Raises `MediaError`."""
        with self._lock:
            connection = self._started()
            try:
                connection.send((replace(part, source=_plain(part.source)), sample_rate, limits))
                if not connection.poll(_PATIENCE * limits.max_work_seconds):
                    raise TimeoutError
                answer = connection.recv()
                if isinstance(answer, str):
                    raise MediaError(answer)
                shape, dtype, rate = answer
                array = np.empty(shape, dtype)
                connection.recv_bytes_into(_bytes(array))
            except (EOFError, OSError) as error:  # it died, or must
                raise _death(part.name, self._end(), limits, error) from None
        return array, rate

    def close(self) -> None:
        """End the child."""
        with self._lock:
            self._end()

    def _started(self) -> Connection:
        if self._connection is not None and self._owner == os.getpid():
            return self._connection
        ours, theirs = multiprocessing.Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        theirs.close()
        self._connection, self._owner = ours, os.getpid()
        try:
            ours.recv()  # it is ready; from now on, failures are the medium's fault
        except EOFError:
            status = self._end()
            raise RuntimeError(
                f"the process that decodes media does not start ({status})"
            ) from None
        return ours

    def _end(self) -> int:
        """End the child and return its status, negative for a signal."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if process is None or connection is None or self._owner != os.getpid():
            return 0
        connection.close()  # an idle child then exits by itself
        try:
            return process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return -signal.SIGXCPU


_decoder: Decoder | None = None
_mortal = False


def isolate() -> None:
    """From now on a child decodes for this process: for training workers and servers."""
    global _decoder
    _decoder = _decoder or Decoder()


def may_die(memory: int = MEMORY) -> None:
    """From now on the system kills this process if a medium takes more than its share."""
    global _mortal
    if resource is None or not Path("/proc/self/statm").exists():
        return
    _mortal = True
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    bound = pages * resource.getpagesize() + memory
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or bound < hard:
        resource.setrlimit(resource.RLIMIT_AS, (bound, hard))


def decoder_for(part: Media) -> Decoder | None:
    """The child that must decode a part, None if this process does: for an array, or a medium whose
    reader exists only here, such as one in a notebook.
    """
    encoded = isinstance(part.source, (str, os.PathLike, bytes, bytearray, memoryview))
    return _decoder if encoded and kind_of(part.modality).travels else None


@contextmanager
def bounded_time(limits: Limits) -> Iterator[None]:
    """In a process that may die: the system kills it if the block takes too long."""
    if not _mortal:
        yield
        return
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = sum(os.times()[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + limits.max_work_seconds) + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def serve(descriptor: int, read: Callable[..., Read]) -> None:
    """The child: `read` each request until the parent hangs up."""
    may_die()
    with Connection(descriptor) as connection:
        connection.send("ready")
        while True:
            try:
                part, sample_rate, limits = connection.recv()
            except (EOFError, OSError):
                return
            try:
                array, rate = read(part, sample_rate=sample_rate, limits=limits)
            except MediaError as error:
                connection.send(str(error))
                continue
            array = np.ascontiguousarray(array)
            connection.send((array.shape, array.dtype.str, rate))
            connection.send_bytes(_bytes(array))


def _bytes(array: np.ndarray) -> memoryview:
    return array.reshape(-1).view(np.uint8).data  # str arrays export no buffer


def _plain(source: Any) -> Any:
    return bytes(source) if isinstance(source, memoryview) else source


def _death(name: str, status: int, limits: Limits, error: BaseException) -> MediaError:
    if isinstance(error, TimeoutError) or status == -signal.SIGXCPU:
        return media_error(
            name,
            f"decoding it takes more than {limits.max_work_seconds:g} seconds",
            "make it smaller, or raise the limit with limits=Limits(max_work_seconds=...)",
        )
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return media_error(
        name, f"decoding it ends the process that does it ({how})", "get the file again or leave it"
    )
