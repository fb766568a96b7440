"""The base of every page we serve to the person at this machine (extra ``serve``)."""

from anyweave.web.binding import bind, listen, strict_config
from anyweave.web.guard import Guard
from anyweave.web.local import LocalServer
from anyweave.web.medium import medium_response
from anyweave.web.page import json_answer, page_app

__all__ = [
    "Guard",
    "LocalServer",
    "bind",
    "json_answer",
    "listen",
    "medium_response",
    "page_app",
    "strict_config",
]
