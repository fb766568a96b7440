"""What the local pages share: serving their files, and JSON answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route


def page_app(
    folder: Path, files: Mapping[str, tuple[str, str]], routes: Sequence[Route]
) -> Starlette:
    """A page of the `files` of `folder` (by path: name and media type), with `routes` for its data.

    It guards nothing: put it behind `Guard`.
    """

    def page_file(request: Request) -> Response:
        name, kind = files[request.url.path]
        return FileResponse(folder / name, media_type=kind)

    pages = [Route(path, page_file) for path in files]
    return Starlette(routes=[*pages, *routes], exception_handlers={HTTPException: _no_such_page})


def json_answer(make: Callable[[], dict[str, Any]], what: str) -> Response:
    """What `make` returns; 404 if it knows no such `what` (`KeyError`), 400 for a `ValueError`."""
    try:
        return JSONResponse(make())
    except KeyError as error:
        return JSONResponse({"error": f"no {what} {error}"}, 404)
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 400)


def _no_such_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"error": "no such page"}, status)
