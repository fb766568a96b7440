"""The review page: what a person's browser asks of a `Review`, built on our local pages."""

from __future__ import annotations

import json
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from anyweave.web import LocalServer, json_answer, medium_response, page_app
from anyweave_making.mosit.review import Review

__all__ = ["review_app", "review_server"]

_PAGE = Path(__file__).with_name("review_page")
_FILES = {
    "/": ("review.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
}


def review_server(review: Review, port: int = 0) -> LocalServer:
    """A server for the review page on this machine alone (port 0 chooses a free one).

    Open its `url` and call ``serve_forever``. Raises `ValueError` where the port is taken.
    """
    return LocalServer(review_app(review), port)


def review_app(review: Review) -> Starlette:
    """The page, its data and its media. It guards nothing: put it behind `anyweave.web.Guard`."""

    async def overview(request: Request) -> Response:
        return JSONResponse(review.overview())

    async def show(request: Request) -> Response:
        return json_answer(lambda: review.show(request.path_params["id"]), "dialogue")

    # Not in a thread: one decision is on disk before the next is read.
    async def decide(request: Request) -> Response:
        try:
            decision, text = _decision(await request.body())
        except ValueError as error:
            return JSONResponse({"error": str(error)}, 400)
        return json_answer(
            lambda: review.decide(request.path_params["id"], decision, text), "dialogue"
        )

    def medium(request: Request) -> Response:
        steps = request.path_params
        try:
            part = review.medium(steps["id"], steps["number"])
        except (KeyError, IndexError):
            return JSONResponse({"error": "no such medium"}, 404)
        return medium_response(part)

    routes = [
        Route("/dialogues", overview),
        Route("/dialogues/{id:path}", show),
        Route("/dialogues/{id:path}", decide, methods=["POST"]),
        Route("/media/{id:path}/{number:int}", medium),
    ]
    return page_app(_PAGE, _FILES, routes)


def _decision(body: bytes) -> tuple[str, str | None]:
    """Decision and new text of a body. Raises `ValueError` for any other body."""
    try:
        row = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError("the body is not JSON in UTF-8") from error
    if not isinstance(row, dict) or not {"decision"} <= row.keys() <= {"decision", "text"}:
        raise ValueError('no decision: send {"decision": ..., "text": ...}')
    decision, text = row["decision"], row.get("text")
    if not isinstance(decision, str) or not isinstance(text, str | None):
        raise ValueError("no decision: decision is a string, text a string or null")
    try:
        (decision + (text or "")).encode()
    except UnicodeEncodeError as error:
        raise ValueError("half a character (a lone surrogate) cannot be written down") from error
    return decision, text
