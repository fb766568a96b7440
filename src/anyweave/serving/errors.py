"""Errors as OpenAI's clients read them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.responses import JSONResponse, Response

from anyweave.files import NotWrittenError

logger = logging.getLogger(__name__)

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """A response other than 200. `param` names the request field it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The envelope."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {
            "error": {
                "message": self.message,
                "type": _TYPES.get(self.status, kind),
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> Response:
        """The envelope as an answer."""
        headers = {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status, headers)


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """The caller's mistake."""
    return ApiError(400, message, param=param, code=code)


def broken(error: Exception, what: str) -> ApiError:
    """What the client gets for an unforeseen error, which is logged in full."""
    logger.error("%s failed", what, exc_info=error)
    return ApiError(500, "something is wrong in the server; its log says what")


def value_error(error: ValueError) -> ApiError:
    """What the client gets for a `ValueError`: its own mistake, unless the server cannot write."""
    if isinstance(error, NotWrittenError):
        logger.error("%s", error)
        return ApiError(507, "the server cannot write what this needs; its log says why")
    return ApiError(400, str(error))
