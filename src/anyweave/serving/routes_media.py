"""Pictures and sounds for a prompt: ``/v1/images/generations``, ``/v1/images/edits``,
``/v1/audio/generate``.
"""

from __future__ import annotations

import base64
import re
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData, UploadFile
from starlette.responses import JSONResponse, Response

from anyweave.messages import Modality, Text
from anyweave.serving import schema
from anyweave.serving.chat import Ask, Desk
from anyweave.serving.errors import bad_request
from anyweave.serving.intake import Encoded, Turn
from anyweave.serving.reply import Made, WireReply
from anyweave.serving.routes_chat import base_url, check_model, desk_of, while_there

router = APIRouter()
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
EDIT_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/ImageRequest"},
                        {
                            "type": "object",
                            "required": ["image"],
                            "properties": {
                                "image": {"type": "string", "format": "binary"},
                                "strength": {"type": "number"},
                            },
                        },
                    ]
                }
            }
        },
    }
}


@router.post("/v1/images/generations", summary="Pictures for a prompt", tags=["media"])
async def images_generations(body: schema.ImageRequest, request: Request) -> Response:
    """Each picture is a reply of its own with the next seed."""
    return await _pictures(request, body, [Text(body.prompt)], None)


@router.post(
    "/v1/images/edits", summary="A picture changed", tags=["media"], openapi_extra=EDIT_FORM
)
async def images_edits(request: Request) -> Response:
    """A form with `image` and `prompt`. The decoder changes the picture: as far as `strength`
    says, or else as far as the change needs.
    """
    desk = desk_of(request)
    fields, uploads = await read_form(request, ("image", "image[]"))
    body = schema.EditRequest.model_validate(fields)
    if len(uploads) != 1:
        raise bad_request(f"one picture is edited at a time, got {len(uploads)}", "image")
    source = Encoded("image", uploads[0], None, "image")
    reads = "image" in desk.engine.facts.encoders
    parts: list[Text | Encoded] = [Text(body.prompt)]
    if reads:
        parts.insert(0, source)
    return await _pictures(request, body, parts, source)


@router.post("/v1/audio/generate", summary="Sounds for a prompt", tags=["media"])
async def audio_generate(body: schema.AudioRequest, request: Request) -> Response:
    """Each sound is a reply of its own with the next seed."""
    count = body.n or 1
    if body.response_format == "bytes" and count > 1:
        raise bad_request("bytes are those of one sound: leave n at 1", "n")
    made = await _made(request, body, "audio", [Text(body.prompt)], body.format, count)
    if body.response_format == "bytes":
        return Response(made[0][1].content, media_type=made[0][1].media_type)
    as_url = body.response_format == "url"
    entries = [_entry(desk_of(request), request, r, m, as_url=as_url) for r, m in made]
    return JSONResponse({"created": int(time.time()), "format": body.format, "data": entries})


async def _pictures(
    request: Request, body: schema.ImageRequest, parts: list[Text | Encoded], source: Encoded | None
) -> Response:
    format = body.output_format or "png"
    more: dict[str, Any] = {**sized(body)}
    if isinstance(body, schema.EditRequest):
        more["strength"] = body.strength
    made = await _made(request, body, "image", parts, format, body.n or 1, source, **more)
    as_url = body.response_format == "url"
    entries = [_entry(desk_of(request), request, r, m, as_url=as_url) for r, m in made]
    return JSONResponse({"created": int(time.time()), "output_format": format, "data": entries})


async def _made(
    request: Request,
    body: schema.MediaRequest,
    modality: Modality,
    parts: list[Text | Encoded],
    format: str,
    count: int,
    source: Encoded | None = None,
    **more: Any,
) -> list[tuple[WireReply, Made]]:
    """`count` media for one prompt, one after the other."""
    desk = desk_of(request)
    check_model(desk, body.model)
    if count > desk.settings.max_samples:
        raise bad_request(f"n is {count}, at most {desk.settings.max_samples} is taken", "n")
    first = desk.options(body, only=modality, **more)
    found = []
    for number in range(count):
        assert first.seed is not None
        options = first.with_overrides(seed=first.seed + number)
        ask = Ask(
            client=request.state.client,
            turns=[Turn("user", tuple(parts), b"", None)],
            options=options,
            source=source,
            keep=False,
            formats={modality: format},
        )
        reply = desk.reply(as_url=False, base_url=base_url(desk, request))
        await while_there(request, desk.whole(ask, reply))
        medium = reply.media[0].made
        assert medium is not None
        found.append((reply, medium))
    return found


def _entry(
    desk: Desk, request: Request, reply: WireReply, made: Made, *, as_url: bool
) -> dict[str, Any]:
    medium = reply.media[made.index]
    content = (
        {"url": reply.link(medium.file_id)}
        if as_url
        else {"b64_json": base64.b64encode(made.content).decode()}
    )
    return {
        **content,
        "revised_prompt": medium.started.caption,
        "unknown_words": list(medium.started.unknown_words),  # to its decoder
        "id": medium.file_id,
        "expires_at": made.expires_at,
    }


def sized(body: schema.ImageRequest | schema.VideoRequest) -> dict[str, int]:
    """Width and height of a `size` like ``512x512``. Raises `ApiError`."""
    size = body.size
    if size in (None, "auto"):
        return {}
    if body.width is not None or body.height is not None:
        raise bad_request("give size, or width and height, not both", "size")
    found = _SIZE.fullmatch(size or "")
    if found is None:
        raise bad_request(f"size is WIDTHxHEIGHT such as 512x512, got {size!r}", "size")
    return {"width": int(found[1]), "height": int(found[2])}


async def read_form(request: Request, names: tuple[str, ...]) -> tuple[dict[str, str], list[bytes]]:
    """Plain fields of a form, and the contents of files named in `names`.

    Raises `ApiError` for any other file, and if it is not a form.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        raise bad_request("send a form: multipart/form-data", "Content-Type")
    form: FormData
    async with request.form(max_files=8, max_fields=64) as form:
        fields: dict[str, str] = {}
        files: list[bytes] = []
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in names:
                    raise bad_request(f"a file {name[:50]!r} is not taken", name)
                files.append(await value.read())
            elif name in fields:
                raise bad_request("this field is given twice", name)
            else:
                fields[name] = value
        return fields, files
