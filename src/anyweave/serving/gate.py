"""The checks that every request passes before it is read: host, origin, key, size, patience.

Pages of other sites run in the browsers of people who can reach this server. They cannot hide where
they come from: the browser itself names host, origin and site.
"""

from __future__ import annotations

import ipaddress
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anyweave.serving.chat import Desk
from anyweave.serving.errors import ApiError
from anyweave.serving.settings import Keys
from anyweave.web.guard import BodyError, read_body, replayed

_LONGEST_PATH = 2048
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
# Defaults for answers that set nothing stricter or looser themselves.
_ELSE = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# These reveal nothing that a key protects. File ids are secrets themselves.
_OPEN = ("/", "/health", "/docs", "/openapi.json")
_OPEN_BELOW = ("/v1/files/", "/page/")


class Gate:
    """ASGI middleware around the whole server. It sets ``scope["state"]["client"]``: who asks."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self.app, self.desk = app, desk
        self._settings, self._metrics = desk.settings, desk.metrics
        self._keys = Keys(desk.settings.api_keys)
        self._held = 0  # bytes of bodies, as declared or the limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, answer a preflight, or pass on with the body in one piece."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started, status, held = time.monotonic(), 499, 0
        headers = Headers(scope=scope)
        cors = self._cors(headers)

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = MutableHeaders(scope=message)
                given.update({**_ALWAYS, **cors})
                for name, value in _ELSE.items():
                    given.setdefault(name, value)
            await send(message)

        try:
            answer = self._preflight(scope, cors)
            if answer is None:
                self._check(scope, headers)
                scope.setdefault("state", {})["client"] = self._client(scope, headers)
                if scope["method"] not in ("GET", "HEAD"):
                    held = self._room(headers)
                    self._held += held
                    body = await self._body(receive)
                    self._held += len(body) - held
                    held = len(body)
                    receive = replayed(body, receive)
            await (answer or self.app)(scope, receive, send_guarded)
        except ApiError as error:
            await error.response()(scope, receive, send_guarded)
        finally:
            self._held -= held
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.count_request(route, status, time.monotonic() - started)

    def _check(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_ours(hosts[0]):
            name = hosts[0][:100] if hosts else "(none)"
            raise ApiError(
                403,
                f"this server is not called {name!r}; its operator can add the name with "
                "--allow-host",
                code="host_not_allowed",
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_PATH:
            raise ApiError(414, "the address is too long")
        for origin in headers.getlist("origin"):
            if origin not in self._settings.cors_origins and not _same(origin, hosts[0]):
                raise ApiError(
                    403,
                    "a page of another origin asked; the operator can allow it with --cors-origin",
                    code="origin_not_allowed",
                )
        site = headers.get("sec-fetch-site", "none")
        visit = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not visit and not headers.get("origin"):
            raise ApiError(403, "another site asked", code="origin_not_allowed")

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names us. DNS rebinding needs a name, so digits are always fine."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name != "localhost" and name not in self._settings.allowed_hosts:
                ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _client(self, scope: Scope, headers: Headers) -> str:
        """Who asks: the owner of the key, or the address. Raises `ApiError` without a right key."""
        address = (scope.get("client") or ("unknown",))[0]
        if not self._keys:
            return f"address-{address}"
        kind, _, key = headers.get("authorization", "").partition(" ")
        owner = self._keys.owner(key.strip()) if kind.lower() == "bearer" else None
        is_open = scope["path"] in _OPEN or scope["path"].startswith(_OPEN_BELOW)
        if owner is None and not is_open:
            raise ApiError(
                401,
                "wrong API key" if key else "no API key: send Authorization: Bearer KEY",
                code="invalid_api_key",
            )
        return owner or f"address-{address}"

    def _cors(self, headers: Headers) -> dict[str, str]:
        origin = headers.get("origin")
        if origin is None or origin not in self._settings.cors_origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Vary": "Origin",
            "Access-Control-Expose-Headers": "Retry-After",
            "Cross-Origin-Resource-Policy": "cross-origin",
        }

    def _preflight(self, scope: Scope, cors: dict[str, str]) -> Response | None:
        if scope["method"] != "OPTIONS" or not cors:
            return None
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            # Clients send headers of their own, such as x-stainless-os; "*" is all but the first.
            "Access-Control-Allow-Headers": "Authorization, *",
            "Access-Control-Max-Age": "600",
        }
        return Response(status_code=204, headers=allowed)

    def _room(self, headers: Headers) -> int:
        """Bytes to reserve for a body. Raises `ApiError` if it or all together are too large."""
        most = self._settings.max_body
        declared = headers.get("content-length", "")
        size = int(declared[:19]) if declared.isdecimal() else most
        if size > most:
            raise ApiError(413, f"a body has at most {most:,} bytes", code="too_large")
        if self._held + size > self._settings.max_bodies:
            raise ApiError(
                429, "too many large requests at once; try again later", code="busy", retry_after=5
            )
        return size

    async def _body(self, receive: Receive) -> bytes:
        try:
            return await read_body(receive, self._settings.max_body, self._settings.body_patience)
        except BodyError as error:
            raise ApiError(error.status, str(error)) from None


def _same(origin: str, host: str) -> bool:
    """Whether a page of `origin` was served under the name `host`."""
    return origin in (f"http://{host}", f"https://{host}")
