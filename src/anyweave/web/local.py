"""A server on the loopback address only, and the URL to open it with."""

from __future__ import annotations

import secrets
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from anyweave.web.binding import bind, listen, strict_config
from anyweave.web.guard import Guard

__all__ = ["LocalServer"]

_HOST = "127.0.0.1"


class LocalServer:
    """`app` behind a `Guard`, bound at once to `port` (0 chooses a free one).

    `url` carries this start's token. Raises `ValueError` if the port is not available.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._socket = bind(_HOST, port)
        listen(self._socket)
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(32)
        hosts = [f"{_HOST}:{self.port}", f"localhost:{self.port}"]
        config = strict_config(
            Guard(app, self.token, hosts), lifespan="off", timeout_graceful_shutdown=2
        )
        self._server = uvicorn.Server(config)

    @property
    def url(self) -> str:
        """The address to open, with the token."""
        return f"http://{_HOST}:{self.port}/?token={self.token}"

    def serve_forever(self) -> None:
        """Answer until `shutdown` or Ctrl+C."""
        try:
            with suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def shutdown(self) -> None:
        """Ask a `serve_forever` in another thread to end."""
        self._server.should_exit = True
