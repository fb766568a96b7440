"""Options of a server that could never work are refused when it starts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from anyweave.serving import Settings


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"allowed_hosts": ("https://chat.example.org",)}, "--allow-host"),
        ({"allowed_hosts": ("chat.example.org:8000",)}, "--allow-host"),
        ({"cors_origins": ("https://app.example.org/",)}, "--cors-origin"),
        ({"cors_origins": ("app.example.org",)}, "--cors-origin"),
        ({"media_hosts": ("https://example.org/media",)}, "--media-host"),
        ({"public_url": "chat.example.org"}, "--public-url"),
        ({"media_root": Path("no/such/folder")}, "--media-root"),
        ({"file_seconds": float("inf")}, "file_seconds must be above 0 and finite"),
        ({"grace": float("nan")}, "grace"),
    ],
)
def test_what_no_request_could_match_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        Settings(**given)


def test_usual_names_are_taken() -> None:
    settings = Settings(
        allowed_hosts=("Chat.Example.org",),
        cors_origins=("https://app.example.org", "http://localhost:3000"),
        media_hosts=("example.org", "*.example.org", "http://plain.example.org"),
        public_url="https://chat.example.org/models",
    )
    assert settings.allowed_hosts == ("chat.example.org",)  # as it comes in requests
