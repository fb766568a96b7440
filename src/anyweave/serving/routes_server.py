"""About the server: models, health, files, metrics, and the page of all routes."""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from anyweave.messages import MEDIA_TYPES, PAPER_MODALITIES, kind_of
from anyweave.modalities import read_as_text
from anyweave.serving.chat import Desk
from anyweave.serving.errors import ApiError
from anyweave.serving.routes_chat import check_model, desk_of
from anyweave.web import medium_response

router = APIRouter()
_POLICY = (  # of the page of all routes
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@router.get("/v1/models", summary="The model that is served", tags=["server"])
async def models(request: Request) -> dict[str, Any]:
    """A list of one."""
    return {"object": "list", "data": [_model(desk_of(request))]}


@router.get("/v1/models/{name:path}", summary="One model", tags=["server"])
async def model(name: str, request: Request) -> dict[str, Any]:
    """What it takes and gives."""
    check_model(desk_of(request), name)
    return _model(desk_of(request))


def _model(desk: Desk) -> dict[str, Any]:
    served = desk.engine.facts
    read = tuple(dict.fromkeys((*served.encoders, *read_as_text())))
    return {
        "id": desk.settings.name,
        "object": "model",
        "created": 0,
        "owned_by": "anyweave",
        "modalities": {
            "input": ["text", *read],
            "output": ["text", *served.signals.modalities],
        },
        # File suffixes of kinds other than pictures, sounds and clips.
        "files": {m: kind_of(m).suffixes for m in read if m not in PAPER_MODALITIES},
        "context_length": served.context_length,
        # Of one request, its history included, under their names in the settings.
        "limits": {
            name: getattr(desk.settings, name)
            for name in ("max_messages", "max_media", "max_text", "max_body")
        },
    }


@router.get("/health", summary="Whether it answers", tags=["server"])
async def health(request: Request) -> Response:
    """200, or 503 while the server stops."""
    desk = desk_of(request)
    scheduler = desk.scheduler
    stopping = scheduler.draining
    state = {
        "status": "stopping" if stopping else "ok",
        "model": desk.settings.name,
        "running": scheduler.running,
        "waiting": scheduler.waiting,
    }
    return JSONResponse(state, 503 if stopping else 200)


@router.get("/v1/files/{file_id}/content", summary="A medium of a reply", tags=["files"])
def file_content(file_id: str, request: Request) -> Response:
    """The bytes, or the range that is asked for. The id is a secret: no key is needed."""
    files = desk_of(request).files
    path, modality = files.path(file_id), files.modality(file_id)
    if path is None or modality is None:
        raise ApiError(404, "there is no such file (any more)", param="file_id")
    return medium_response(MEDIA_TYPES[modality](path))


@router.get("/metrics", summary="Figures for Prometheus", tags=["server"])
async def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    return Response(desk_of(request).metrics.text(), media_type="text/plain; version=0.0.4")


@router.get("/docs", summary="This page", tags=["server"], response_class=HTMLResponse)
async def docs(request: Request) -> Response:
    """All routes with their fields, from ``/openapi.json``. It needs no script."""
    described = request.app.openapi()
    schemas = described.get("components", {}).get("schemas", {})
    rows = [
        _route(path, method, route)
        for path, methods in described["paths"].items()
        for method, route in methods.items()
    ]
    fields = [_fields(name, kind) for name, kind in schemas.items() if "properties" in kind]
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>anyweave: API</title>'
        '<link rel="stylesheet" href="/page/base.css"><link rel="stylesheet" href="/page/docs.css">'
        f"<main><h1>anyweave {escape(described['info']['version'])}</h1>"
        f"<p>{escape(described['info']['description'])}</p>"
        '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
        f"<h2>Routes</h2>{''.join(rows)}<h2>Fields</h2>{''.join(fields)}</main></html>",
        headers={"Content-Security-Policy": _POLICY},
    )


def _prose(text: str) -> str:
    """A description with its names as code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(text))


def _fields(name: str, kind: dict[str, Any]) -> str:
    """One kind of request as a table."""
    required = kind.get("required", ())
    rows = (
        f"<tr><td><code>{escape(field)}</code>{' required' if field in required else ''}</td>"
        f"<td>{_type(about)}</td><td>{_prose(about.get('description', ''))}</td></tr>"
        for field, about in kind["properties"].items()
    )
    about = _prose(kind.get("description", ""))
    head = f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{about}</p>'
    return f"{head}<div><table>{''.join(rows)}</table></div>"


def _type(about: dict[str, Any]) -> str:
    """What a field may hold, in words; other kinds as links."""
    if "$ref" in about:
        name = escape(about["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    choices = about.get("anyOf") or about.get("oneOf") or ()
    if choices:
        return " or ".join(_type(one) for one in choices if one.get("type") != "null")
    values = about.get("enum") or ([about["const"]] if "const" in about else ())
    if values:
        return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    if about.get("type") == "array":
        return f"list of {_type(about.get('items', {}))}"
    return escape(str(about.get("type", "anything")))


def _route(path: str, method: str, route: dict[str, Any]) -> str:
    contents = route.get("requestBody", {}).get("content", {})
    names = [
        content["schema"]["$ref"].rpartition("/")[2]
        for content in contents.values()
        if "$ref" in content.get("schema", {})
    ]
    links = ", ".join(
        f'<a href="#{escape(name)}">{escape(name)}</a>' for name in dict.fromkeys(names)
    )
    return (
        f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
        f"<p>{escape(route.get('summary', ''))}. {_prose(route.get('description', ''))} {links}</p>"
    )
