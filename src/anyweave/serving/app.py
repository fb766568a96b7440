"""The server: its routes and its lifetime."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

import anyweave
from anyweave.generation import GenerationOptions
from anyweave.generation.draft import Finder
from anyweave.model.any_to_any import NextGPT
from anyweave.serving import routes_chat, routes_media, routes_server, routes_videos, schema
from anyweave.serving.chat import Desk
from anyweave.serving.conversations import Conversations
from anyweave.serving.engine import Engine
from anyweave.serving.errors import ApiError, broken, value_error
from anyweave.serving.files import FileStore
from anyweave.serving.gate import Gate
from anyweave.serving.intake import Intake
from anyweave.serving.jobs import Jobs
from anyweave.serving.metrics import Metrics
from anyweave.serving.scheduler import Scheduler
from anyweave.serving.settings import Settings
from anyweave.serving.web_page import page_routes

__all__ = ["create_app"]

_ABOUT = """Any-to-any chat: text, pictures, clips and sounds in and out, for clients of OpenAI's
API. What goes beyond that API is described in docs/serving.md."""


def create_app(
    model: NextGPT | Engine,
    settings: Settings | None = None,
    options: GenerationOptions | None = None,
    finder: Finder | None = None,
) -> Gate:
    """The whole server as an ASGI app. `options` are the defaults for replies; `finder` is asked
    for each medium of a chat before it is made. Both are for a model: an engine has its own.

    Attribute `app` is the FastAPI app behind the gate, `desk` what its routes use.
    """
    settings = settings or Settings()
    rows = settings.max_running
    owned = None if isinstance(model, Engine) else Engine(model, options, rows=rows, finder=finder)
    engine = owned or model
    assert isinstance(engine, Engine)
    desk = _desk(engine, settings)
    jobs = Jobs(settings.folder / "jobs", most=settings.max_jobs, most_kept=settings.max_kept_jobs)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await desk.scheduler.drain(settings.grace)
        await jobs.settle()
        jobs.close()
        desk.scheduler.close()
        if owned is not None:
            owned.close()
        desk.intake.close()

    app = FastAPI(
        title="anyweave",
        version=anyweave.__version__,
        description=_ABOUT,
        lifespan=life,
        docs_url=None,  # its page fetches scripts from elsewhere; ours is in `routes_server`
        redoc_url=None,
    )
    app.state.desk, app.state.jobs = desk, jobs
    for routes in (routes_chat, routes_media, routes_videos, routes_server):
        app.include_router(routes.router)
    app.router.routes.extend(page_routes())
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(ValueError, _value_error)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _broken)
    return Gate(app, desk)


def _desk(engine: Engine, settings: Settings) -> Desk:
    metrics = Metrics()
    files = FileStore(
        settings.folder / "files",
        seconds=settings.file_seconds,
        max_bytes=settings.max_file_bytes,
    )
    scheduler = Scheduler(
        running=settings.max_running,
        waiting=settings.max_waiting,
        each=settings.max_waiting_each,
        patience=settings.queue_patience,
        timeout=settings.timeout,
    )
    conversations = Conversations(
        engine.chat, most=settings.max_conversations, max_media=settings.max_kept_media
    )
    metrics.gauge("running", "Replies in the making.", lambda: scheduler.running)
    metrics.gauge("waiting", "Requests that wait for their turn.", lambda: scheduler.waiting)
    metrics.gauge("conversations", "Conversations that are kept.", lambda: len(conversations))
    intake = Intake(settings, files, engine.facts.input_rate)
    return Desk(settings, engine, intake, files, conversations, scheduler, metrics)


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


def _value_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ValidationError):
        return malformed(error.errors()).response()
    assert isinstance(error, ValueError)
    return value_error(error).response()


def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return malformed(error.errors()).response()


def malformed(problems: Any) -> ApiError:
    """What pydantic found, as one error: where, what, and the name probably meant."""
    # Content may be words or parts; the problem inside a part says most.
    first = max(problems, key=lambda problem: len(problem["loc"]))
    place = [step for step in map(str, first["loc"]) if _NAME.fullmatch(step)]
    text = first["msg"]
    if first["type"] == "extra_forbidden":
        near = get_close_matches(place[-1], _FIELDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "/docs lists those that there are"
        text = f"there is no such field; {hint}"
    elif first["type"] == "json_invalid":
        text = f"the body is not JSON: {first.get('ctx', {}).get('error', '')}"
    elif place and place[-1] in _FIXED:
        text = f"{_FIXED[place[-1]]} ({text})"
    where = ".".join(place)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ApiError(400, f"{where}: {text}{more}" if where else text + more, param=where or None)


# Steps of a location worth showing: no request parts ("body"), no types ("str", "list[Part]").
_NAME = re.compile(r"(?!(?:body|query|path|str|int|float|bool)$)[a-z0-9_]+")
_FIELDS = sorted(
    {
        name
        for kind in vars(schema).values()
        if isinstance(kind, type) and issubclass(kind, schema.BaseModel)
        for name in kind.model_fields
    }
)
_FIXED = {
    "n": "there is one reply to a request; send it again for another",
    "tools": "this model calls no tools",
    "tool_calls": "this model calls no tools",
    "logprobs": "log probabilities are not given",
}


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: f"there is no {request.url.path[:100]}; see /docs", 405: "not with this method"}
    return ApiError(error.status_code, texts.get(error.status_code, str(error.detail))).response()


def _broken(request: Request, error: Exception) -> Response:
    return broken(error, f"{request.method} {request.url.path}").response()
