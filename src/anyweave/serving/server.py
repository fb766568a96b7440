"""The serving process: an address, signals, and a shutdown that loses nothing."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import uvicorn

from anyweave.serving.gate import Gate
from anyweave.serving.settings import Settings
from anyweave.web import bind, listen, strict_config

__all__ = ["Running", "bind", "is_loopback", "serve"]


def serve(
    app: Gate,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    bound: socket.socket | None = None,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer until SIGTERM, SIGINT or Ctrl-C; `ready` is called with the address once it answers.
    `bound` is a socket that `bind` opened before the model was loaded; it replaces `host` and
    `port`.

    Accepted requests end within ``settings.grace`` seconds or get a 503. Raises `ValueError` if the
    port is not available.
    """
    Running(app, settings, bound or bind(host, port), ready=ready).run()


class Running:
    """`serve` in two steps, for callers that stop it from another thread."""

    def __init__(
        self,
        app: Gate,
        settings: Settings,
        bound: socket.socket,
        *,
        ready: Callable[[str], None],
    ) -> None:
        listen(bound)
        self._bound = bound
        config = strict_config(
            app,
            limit_concurrency=1024,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(settings.grace) + 10,
        )
        url = _url(*bound.getsockname()[:2])
        self._server = _Server(config, app, settings, lambda: ready(url))

    def run(self) -> None:
        """Answer until it is told to stop."""
        try:
            with suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._bound])
        finally:
            self._bound.close()

    def stop(self) -> None:
        """Like SIGTERM, from any thread."""
        self._server.handle_exit(signal.SIGTERM, None)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Server(uvicorn.Server):
    """Drains the scheduler the moment it is told to stop, while connections are still served."""

    def __init__(
        self, config: uvicorn.Config, app: Gate, settings: Settings, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._gate, self._settings, self._ready = app, settings, ready
        self._drain: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        if self.started and self.should_exit:  # told to stop meanwhile: uvicorn would just exit
            await self.shutdown(sockets)
            return
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin_to_drain)
        super().handle_exit(sig, frame)

    def _begin_to_drain(self) -> None:
        if self._drain is None:
            scheduler = self._gate.desk.scheduler
            self._drain = asyncio.get_running_loop().create_task(
                scheduler.drain(self._settings.grace)
            )


def _url(host: str, port: int) -> str:
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
