"""The server that clients of OpenAI's API understand (extra ``serve``): the wire schema to messages
and back, and what keeps many strangers from harming each other or the machine.
"""

from anyweave.serving.app import create_app
from anyweave.serving.server import bind, serve
from anyweave.serving.settings import Settings

__all__ = ["Settings", "bind", "create_app", "serve"]
