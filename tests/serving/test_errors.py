"""Whose fault an error is, as the client reads it."""

from __future__ import annotations

from anyweave.files import NotWrittenError
from anyweave.serving.errors import value_error


def test_a_full_disk_is_not_the_clients_mistake() -> None:
    mistake = value_error(ValueError("seed is below 0"))
    assert (mistake.status, mistake.message) == (400, "seed is below 0")
    full = value_error(NotWrittenError("/srv/files/a.png: no space left on device"))
    assert full.status == 507 and full.body["error"]["type"] == "server_error"
    assert "/srv" not in full.message  # where the server keeps things is nobody's business
