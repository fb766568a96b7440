"""The chat page at ``/``: static files of this package, no more than a client of the public API."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

__all__ = ["page_routes"]

_FOLDER = Path(__file__).with_name("page")
# Each machine has its own table of types, and browsers refuse a module of the wrong type.
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
}
# In addition to those that the gate adds to every answer.
HEADERS = {
    # Media are shown from blobs that the page itself made; nothing comes from elsewhere, no script
    # or style is inline, and no text can become markup (trusted types).
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-cache",  # revalidated each time, answered 304 while nothing has changed
}


def page_routes() -> list[Route]:
    """Routes of ``/`` and of everything under ``/page/``: one per file, so no path is ever built
    from a request.
    """
    found = sorted(path for path in _FOLDER.rglob("*") if path.is_file())
    routes = [_route(f"/page/{path.relative_to(_FOLDER).as_posix()}", path) for path in found]
    return [_route("/", _FOLDER / "index.html"), *routes]


def _route(address: str, path: Path) -> Route:
    async def answer(request: Request) -> Response:
        kind, stat = _TYPES[path.suffix], path.stat()
        reply = FileResponse(path, headers=HEADERS, media_type=kind, stat_result=stat)
        if request.headers.get("if-none-match") == reply.headers["etag"]:
            # With all headers: a browser replaces those it had by those of a 304.
            return Response(None, 304, {**HEADERS, "ETag": reply.headers["etag"]})
        return reply

    return Route(address, answer, name=f"page {path.name}", include_in_schema=False)
