"""``POST /v1/chat/completions``."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from anyweave.serving import schema
from anyweave.serving.chat import Ask, Desk, chat_options
from anyweave.serving.errors import ApiError, broken, value_error
from anyweave.serving.intake import Turn
from anyweave.serving.reply import WireReply, wire_usage

router = APIRouter()
T = TypeVar("T")


def desk_of(request: Request) -> Desk:
    """The server's desk."""
    desk: Desk = request.app.state.desk
    return desk


def check_model(desk: Desk, name: str | None) -> None:
    """Raise `ApiError` for a model that is not served here."""
    if name is not None and name != desk.settings.name:
        raise ApiError(
            404,
            f"the model {name[:100]!r} is not served here; there is {desk.settings.name!r}",
            param="model",
            code="model_not_found",
        )


def base_url(desk: Desk, request: Request) -> str:
    """How this client reaches us."""
    return (desk.settings.public_url or str(request.base_url)).rstrip("/")


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; cancelled, with `ApiError` 499, if the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        desk_of(request).metrics.count_gone()
        raise ApiError(499, "the client went away")
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait([task])


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.post("/v1/chat/completions", summary="One reply with text and media", tags=["chat"])
async def chat_completions(body: schema.ChatRequest, request: Request) -> Response:
    """A chat completion as OpenAI's, with media in and out; ``stream`` sends it as it comes."""
    desk = desk_of(request)
    check_model(desk, body.model)
    given = body.response_format
    kind = given.type if isinstance(given, schema.ResponseType) else given
    reply = desk.reply(as_url=kind == "url", base_url=base_url(desk, request))
    options = chat_options(desk, body)
    turns = await while_there(request, _turns(desk, body.messages, heard=options.edit == "always"))
    ask = Ask(client=request.state.client, turns=turns, options=options)
    if body.audio is not None:
        ask.formats["audio"] = body.audio.format
    if not body.stream:
        await while_there(request, desk.whole(ask, reply))
        return JSONResponse(_completion(desk, ask, reply))
    deltas = desk.answer(ask, reply)
    first = await while_there(request, _first(deltas))
    usage = body.stream_options is not None and body.stream_options.include_usage
    return EventStream(_stream(desk, ask, reply, first, deltas, usage=usage), desk)


async def _turns(desk: Desk, messages: Sequence[schema.WireMessage], *, heard: bool) -> list[Turn]:
    """`Intake.turns` in a thread, which ends at its next medium where this is cancelled."""
    gone = threading.Event()
    try:
        return await to_thread.run_sync(
            lambda: desk.intake.turns(messages, reads_replies=heard, gone=gone)
        )
    finally:
        gone.set()


async def _first(deltas: AsyncGenerator[dict[str, Any], None]) -> list[dict[str, Any]]:
    """Wait for the first delta, so that an error before it is still an HTTP status."""
    try:
        return [await anext(deltas)]
    except StopAsyncIteration:  # an empty reply
        return []
    except BaseException:
        await deltas.aclose()
        raise


def _completion(desk: Desk, ask: Ask, reply: WireReply) -> dict[str, Any]:
    assert reply.done is not None
    choice = {
        "index": 0,
        "message": reply.message(),
        "finish_reason": reply.done.finish_reason,
        "logprobs": None,
    }
    return {
        **_head(desk, reply, "chat.completion"),
        "choices": [choice],
        "usage": wire_usage(reply.done.usage),
        "anyweave": desk.inside(ask, reply),
    }


def _head(desk: Desk, reply: WireReply, kind: str) -> dict[str, Any]:
    return {
        "id": reply.reply_id,
        "object": kind,
        "created": int(time.time()),
        "model": desk.settings.name,
    }


async def _stream(
    desk: Desk,
    ask: Ask,
    reply: WireReply,
    first: list[dict[str, Any]],
    deltas: AsyncGenerator[dict[str, Any], None],
    *,
    usage: bool,
) -> AsyncGenerator[bytes, None]:
    """The reply as server-sent events."""
    head = _head(desk, reply, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        last = {"usage": None} if usage else {}
        return _event({**head, "choices": [choice], **last, **more})

    try:
        yield chunk({"role": "assistant", "content": ""})
        for delta in first:
            yield chunk(delta)
        async for delta in deltas:
            yield chunk(delta)
        assert reply.done is not None
        yield chunk(
            {"content_parts": reply.content_parts()},
            reply.done.finish_reason,
            anyweave=desk.inside(ask, reply),
        )
        if usage:
            yield _event({**head, "choices": [], "usage": wire_usage(reply.done.usage)})
    except ApiError as error:
        yield _event(error.body)
    except ValueError as error:
        yield _event(value_error(error).body)
    except Exception as error:  # noqa: BLE001  the stream must say that it is over, and why
        yield _event(broken(error, reply.reply_id).body)
    finally:
        await deltas.aclose()
    yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    # In ASCII: some clients also end a line at Unicode separators.
    return b"data: " + json.dumps(value).encode() + b"\n\n"


class EventStream(StreamingResponse):
    """Server-sent events whose source is closed when the client goes away."""

    def __init__(self, events: AsyncGenerator[bytes, None], desk: Desk) -> None:
        headers = {"X-Accel-Buffering": "no"}  # proxies would hold it back
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._events, self._desk, self._whole = events, desk, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all, or stop if nobody listens."""

        async def counted(message: Any) -> None:
            self._whole = message["type"] == "http.response.body" and not message.get("more_body")
            await send(message)

        try:
            await super().__call__(scope, receive, counted)
        finally:
            await self._events.aclose()
            if not self._whole:
                self._desk.metrics.count_gone()
