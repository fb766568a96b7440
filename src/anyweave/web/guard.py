"""What every request to our pages must show, and what every answer carries.

Other pages in the same browser can reach this machine too. They cannot know the token, and they
cannot hide where they come from: the browser itself names host, origin and site.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyError", "Guard", "read_body", "replayed"]

_SAFE = ("GET", "HEAD")
_METHODS = (*_SAFE, "POST")
_LONGEST_PATH = 2048
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """ASGI middleware around a local page.

    `hosts` are the exact ``host:port`` names it is bound to. The first request brings `token` as
    ``/?token=...`` and gets it back as a cookie that scripts cannot read. An unsafe request must
    come from the same origin with a JSON body of at most `longest_body` bytes, complete within
    `patience` seconds; the app gets that body in one piece.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        hosts: Sequence[str],
        *,
        longest_body: int = 1 << 20,
        patience: float = 20.0,
    ) -> None:
        self._app, self._token, self._hosts = app, token, tuple(hosts)
        self._longest_body, self._patience = longest_body, patience
        # Cookies ignore the port: two pages on one machine must not overwrite each other's.
        self._cookie = f"anyweave-{self._hosts[0].rpartition(':')[2]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, hand over the cookie, or pass on to the app."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_ALWAYS)
            await send(message)

        answer = self._refusal(scope) or self._welcome(scope)
        if answer is None and scope["method"] not in _SAFE:
            try:
                body = await read_body(receive, self._longest_body, self._patience)
                receive = replayed(body, receive)
            except BodyError as error:
                answer = _error(error.status, str(error), Connection="close")
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is not ours, or None for one that may be."""
        headers = Headers(scope=scope)
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return _error(403, f"ask as {self._hosts[0]}")
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_PATH:
            return _error(414, "the address is too long")
        if scope["method"] not in _METHODS:
            return _error(405, f"ask with {', '.join(_METHODS)}", Allow=", ".join(_METHODS))
        unsafe = scope["method"] not in _SAFE
        sites = ("same-origin",) if unsafe else ("same-origin", "none")
        origins = headers.getlist("origin")
        if any(site not in sites for site in headers.getlist("sec-fetch-site")):
            return _error(403, "another site asked")
        if (unsafe or origins) and origins != [f"http://{headers['host']}"]:
            return _error(403, "another origin asked")
        if unsafe and not _is_json(headers.getlist("content-type")):
            return _error(415, "send application/json in UTF-8")
        return None

    def _welcome(self, scope: Scope) -> Response | None:
        """Trade the token in the address for a cookie; refuse a request with neither."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["path"] == "/" and scope["method"] in _SAFE and self._is_token(given):
            # The redirect takes the token out of the address bar and the history.
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        try:
            cookies = SimpleCookie("; ".join(Headers(scope=scope).getlist("cookie")))
        except CookieError:
            cookies = SimpleCookie()
        shown = cookies.get(self._cookie)
        if shown is not None and self._is_token([shown.value]):
            return None
        return _error(403, "open the whole address that the command printed, with its token")

    def _is_token(self, given: Sequence[str]) -> bool:
        return len(given) == 1 and secrets.compare_digest(given[0].encode(), self._token.encode())


class BodyError(Exception):
    """A refused body, and the status that says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(receive: Receive, longest: int, patience: float) -> bytes:
    """The whole body, counted as it arrives: headers may lie about its length.

    Raises `BodyError` for more than `longest` bytes, or if it is not complete within `patience`
    seconds.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(patience):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyError(400, "the body broke off")
                body += message.get("body", b"")
                if len(body) > longest:
                    raise BodyError(413, f"a body has at most {longest:,} bytes")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise BodyError(408, "the body did not come in time") from None


def _error(status: int, text: str, **headers: str) -> Response:
    return JSONResponse({"error": text}, status, headers)


def _is_json(kinds: Sequence[str]) -> bool:
    if len(kinds) != 1:
        return False
    kind, *options = [part.strip().lower() for part in kinds[0].split(";")]
    return kind == "application/json" and options in ([], ["charset=utf-8"])


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` in one piece and then whatever follows."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
