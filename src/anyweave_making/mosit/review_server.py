"""The review page: a server for this machine alone, on the standard library."""

from __future__ import annotations

import json
import mimetypes
import re
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from anyweave_making.mosit.review import Review

__all__ = ["review_server"]

_PAGE = Path(__file__).with_name("review.html")
_CHUNK = 1 << 16
_LONGEST_BODY = 1 << 20


def review_server(review: Review, port: int = 0) -> ThreadingHTTPServer:
    """A server of the review page at ``http://127.0.0.1:port`` (0 chooses a free port).

    Call ``serve_forever``. It answers this machine only, and only pages it served itself.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, review))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, review: Review, *args: Any) -> None:
        self._review = review
        super().__init__(*args)

    def do_GET(self) -> None:  # noqa: N802
        """Page, overview, a dialogue, or a medium."""
        path = [unquote(step) for step in urlsplit(self.path).path.strip("/").split("/")]
        if not self._is_ours():
            return
        if path == [""]:
            self._send(HTTPStatus.OK, _PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == ["dialogues"]:
            self._send_json(self._review.overview())
        elif len(path) == 2 and path[0] == "dialogues":
            self._answer(lambda: self._review.show(path[1]))
        elif len(path) == 3 and path[0] == "media" and path[2].isdecimal():
            self._send_medium(path[1], int(path[2]))
        else:
            self._send_json({"error": "no such page"}, HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:  # noqa: N802
        """A decision on a dialogue: ``{"decision": ..., "text": ...}``."""
        path = [unquote(step) for step in urlsplit(self.path).path.strip("/").split("/")]
        length = int(self.headers.get("Content-Length") or 0)
        if not self._is_ours() or length > _LONGEST_BODY:
            self.close_connection = True
            return
        body = self.rfile.read(length)
        try:
            row = json.loads(body)
            decision, text = row["decision"], row.get("text")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._send_json({"error": "no decision"}, HTTPStatus.BAD_REQUEST)
            return
        if len(path) != 2 or path[0] != "dialogues":
            self._send_json({"error": "no such page"}, HTTPStatus.NOT_FOUND)
        else:
            self._answer(lambda: self._review.decide(path[1], decision, text))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a page that is looked through asks for much."""

    def _is_ours(self) -> bool:
        """Refuse other pages of the same browser: a foreign host name or origin."""
        host = self.headers.get("Host", "").rpartition(":")[0]
        origin = urlsplit(self.headers.get("Origin") or "").hostname
        if host in ("127.0.0.1", "localhost") and origin in (None, "127.0.0.1", "localhost"):
            return True
        self._send_json({"error": "ask as 127.0.0.1"}, HTTPStatus.FORBIDDEN)
        return False

    def _answer(self, make: Any) -> None:
        try:
            self._send_json(make())
        except KeyError as error:
            self._send_json({"error": f"no dialogue {error}"}, HTTPStatus.NOT_FOUND)
        except ValueError as error:
            self._send_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)

    def _send_json(self, value: Any, status: HTTPStatus = HTTPStatus.OK) -> None:
        body = json.dumps(value, ensure_ascii=False).encode()
        self._send(status, body, "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _send_medium(self, id: str, number: int) -> None:
        """The file, or the part of it that the browser asks for: players jump in clips that way."""
        try:
            path = Path(self._review.medium(id, number).source)
            size = path.stat().st_size
        except (KeyError, IndexError, TypeError, OSError):
            self._send_json({"error": "no such medium"}, HTTPStatus.NOT_FOUND)
            return
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = min(int(asked[2]), size - 1) if asked and asked[2] else size - 1
        if asked and start > end:
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", "text/plain")
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self.send_header("Content-Type", kind)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(end - start + 1))
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.end_headers()
        with open(path, "rb") as file:
            file.seek(start)
            left = end - start + 1
            while left and (chunk := file.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
