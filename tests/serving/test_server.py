"""The process that serves, from its address to its end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from anyweave.serving import Settings, create_app
from anyweave.serving.server import Running, bind


def test_a_server_may_be_told_to_stop_before_it_runs_and_after(engine: Any, tmp_path: Path) -> None:
    settings = Settings(name="tiny", folder=tmp_path)
    urls: list[str] = []
    app = create_app(engine, settings)
    running = Running(app, settings, bind("127.0.0.1", 0), ready=urls.append)
    running.stop()
    # In a thread: in the main one uvicorn raises the signal again for the process at the end.
    thread = threading.Thread(target=running.run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    running.stop()
    assert urls == []
