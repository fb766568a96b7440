"""The rating page: what a person's browser asks of `Screens`, built on our local pages."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from anyweave.evaluation.human.screens import Screens
from anyweave.web import LocalServer, json_answer, medium_response, page_app

_PAGE = Path(__file__).with_name("page")
_FILES = {
    "/": ("human.html", "text/html"),
    "/human.css": ("human.css", "text/css"),
    "/human.js": ("human.js", "text/javascript"),
    "/human.svg": ("human.svg", "image/svg+xml"),
}


def human_server(screens: Screens, port: int = 0) -> LocalServer:
    """A server for the rating page on this machine alone (port 0 chooses a free one)."""
    return LocalServer(human_app(screens), port)


def human_app(screens: Screens) -> Starlette:
    """The page, its data and its media. It guards nothing: put it behind `anyweave.web.Guard`."""

    # Not in threads: one vote is on disk before the next is read.
    async def overview(request: Request) -> Response:
        return json_answer(lambda: screens.overview(_rater(request)), "request")

    async def show(request: Request) -> Response:
        return json_answer(lambda: screens.show(_rater(request), **request.path_params), "request")

    async def vote(request: Request) -> Response:
        try:
            row = json.loads((await request.body()).decode("utf-8"))
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or set(row) != {"scores", "best"}:
            return JSONResponse({"error": 'no vote: send {"scores": ..., "best": ...}'}, 400)
        return json_answer(
            lambda: screens.vote(_rater(request), **request.path_params, **row), "request"
        )

    async def medium(request: Request) -> Response:
        try:
            part = screens.medium(_rater(request), **request.path_params)
        except (KeyError, IndexError, ValueError):
            return JSONResponse({"error": "no such medium"}, 404)
        return medium_response(part)

    routes = [
        Route("/overview", overview),
        Route("/screens/{id}", show),
        Route("/screens/{id}", vote, methods=["POST"]),
        Route("/media/{id}/{slot:int}/{number:int}", medium),
    ]
    return page_app(_PAGE, _FILES, routes)


def _rater(request: Request) -> str:
    """From the query, where a name may hold any character."""
    return request.query_params.get("rater", "")
