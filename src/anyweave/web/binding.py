"""Addresses of our servers, and how strict they are with requests."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp


def bind(host: str, port: int) -> socket.socket:
    """Take an address (port 0 chooses a free one) that accepts no connections before `listen`, so
    that it is reserved before slow work starts. Raises `ValueError` if it is not available.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f"a port is 0 to 65535, got {port}; 0 chooses a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _taken(host, port, error) from error
    return bound


def listen(bound: socket.socket) -> None:
    """Let clients in. Raises `ValueError` if another server now listens there: two may bind one
    port with SO_REUSEADDR, but only one may listen.
    """
    host, port = bound.getsockname()[:2]
    try:
        bound.listen(1024)
    except OSError as error:
        bound.close()
        raise _taken(host, port, error) from error


def strict_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """uvicorn without guesses and without its own logs, which would record tokens."""
    return uvicorn.Config(
        app,
        http="h11",  # strict about lengths, pure Python, and the same on every machine
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        **options,
    )


def _taken(host: str, port: int, error: OSError) -> ValueError:
    return ValueError(
        f"port {port} of {host} is not available ({error.strerror}); stop the program that uses "
        "it, or pass --port 0 for a free one"
    )
