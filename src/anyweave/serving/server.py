"""The process that serves: an address, signals, an end that loses nothing."""

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


def serve(
    app: Gate,
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Answer until SIGTERM, SIGINT or Ctrl-C; `ready` gets the address when it answers.

    What was taken by then ends within ``settings.grace`` seconds or is answered 503. Raises
    `ValueError` where the port cannot be had.
    """
    Running(app, settings, host=host, port=port, ready=ready).run()


class Running:
    """`serve` in two steps, for whoever stops it from another thread."""

    def __init__(
        self,
        app: Gate,
        settings: Settings,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        ready: Callable[[str], None],
    ) -> None:
        self._bound = _bound(host, port)
        config = uvicorn.Config(
            app,
            http="h11",  # strict about lengths, pure Python, and the same on every machine
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=1024,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=int(settings.grace) + 10,
        )
        url = _url(host, self._bound.getsockname()[1])
        self._server = _Server(config, app, settings, lambda: ready(url))

    def run(self) -> None:
        """Answer until it is told to stop."""
        try:
            with suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._bound])
        finally:
            self._bound.close()

    def stop(self) -> None:
        """As SIGTERM, from any thread."""
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
        if self.started and self.should_exit:  # told to stop meanwhile: uvicorn would just leave
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


def _bound(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535, got {port}; 0 chooses a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)  # two servers may bind a port with SO_REUSEADDR, but only one may listen
    except OSError as error:
        bound.close()
        raise ValueError(
            f"{host}:{port} cannot be had ({error.strerror}); end the program that uses it, or "
            "pass --port 0 for a free one"
        ) from error
    return bound
