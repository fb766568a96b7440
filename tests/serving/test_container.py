"""The container's health check, run as the container runs it, against a server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_a_server_is_found_healthy(served: Any, root: Path) -> None:
    text = (root / "deploy" / "Dockerfile").read_text()
    program, *arguments = json.loads(
        text.partition("HEALTHCHECK")[2].partition("CMD ")[2].split("\n")[0]
    )
    assert program == "python"
    command = [argument.replace("http://127.0.0.1:8000", served.url) for argument in arguments]
    assert command != arguments
    assert subprocess.run([sys.executable, *command]).returncode == 0
