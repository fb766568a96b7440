"""A server on the loopback address alone, and the address with which a person opens it."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from anyweave.web.guard import Guard

__all__ = ["LocalServer"]

_HOST = "127.0.0.1"


class LocalServer:
    """`app` behind a `Guard`, bound at once to `port` (0 chooses a free one).

    `url` carries this start's token. Raises `ValueError` where the port cannot be had.
    """

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._socket = _bound(port)
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(32)
        hosts = [f"{_HOST}:{self.port}", f"localhost:{self.port}"]
        config = uvicorn.Config(
            Guard(app, self.token, hosts),
            http="h11",  # strict about lengths, pure Python, and the same on every machine
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # it would write the token down
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=2,
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


def _bound(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535, got {port}; 0 chooses a free one")
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
        bound.listen(64)  # two servers may bind a port with SO_REUSEADDR, but only one may listen
    except OSError as error:
        bound.close()
        raise ValueError(
            f"port {port} of {_HOST} is not available ({error.strerror}); stop the program that "
            "uses it, or pass --port 0 for a free one"
        ) from error
    return bound
