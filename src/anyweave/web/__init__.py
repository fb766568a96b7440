"""The base of every page we serve to the person at this machine (extra ``serve``)."""

from anyweave.web.binding import bind, listen, strict_config
from anyweave.web.guard import Guard
from anyweave.web.local import LocalServer
from anyweave.web.medium import medium_response

__all__ = ["Guard", "LocalServer", "bind", "listen", "medium_response", "strict_config"]
