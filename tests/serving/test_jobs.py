"""Jobs outlive the server that took them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytest.importorskip("fastapi")

from anyweave.files import NotWrittenError
from anyweave.serving.errors import ApiError
from anyweave.serving.jobs import Jobs, shown


def jobs(folder: Path, **bounds: int) -> Jobs:
    return Jobs(folder, **{"most": 8, "most_kept": 100, **bounds})


async def clip(content: bytes = b"clip") -> bytes:
    return content


async def never() -> bytes:
    await asyncio.sleep(60)
    raise AssertionError


def test_finished_jobs_are_there_and_the_others_are_told_after_a_crash(tmp_path: Path) -> None:
    async def check() -> list[str]:
        first = jobs(tmp_path)
        done, running, waiting = (first.new("me", prompt=p) for p in ("a", "b", "c"))
        first.run(done, clip())
        first.run(running, never())
        await asyncio.sleep(0.1)
        first.progress(running, 1, 2)
        with pytest.raises(ValueError, match="is a server that keeps its jobs there"):
            jobs(tmp_path)
        first.close()
        return [done["id"], running["id"], waiting["id"]]

    ids = asyncio.run(check())
    # What a kill leaves: states as they were written last.
    for job_id, status in zip(ids[1:], ("in_progress", "queued"), strict=True):
        path = tmp_path / f"{job_id}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "status": status}))
    second = jobs(tmp_path)
    found = [second.find(job_id, "me") for job_id in ids]
    assert [job["status"] for job in found] == ["completed", "failed", "failed"]
    assert second.clip(found[0]).read_bytes() == b"clip"
    for job in found[1:]:
        assert job["error"]["code"] == "interrupted"
        assert "send it again" in job["error"]["message"]
        with pytest.raises(ApiError, match="its job is failed"):
            second.clip(job)
    second.close()
    assert jobs(tmp_path).find(ids[1], "me")["status"] == "failed"  # and it is written down


def test_a_job_says_how_it_failed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def fail(error: Exception) -> bytes:
        raise error

    async def check() -> None:
        of = jobs(tmp_path)
        errors = [
            (ValueError("no such size"), "invalid_request"),
            (ApiError(503, "stopping", code="stopping"), "interrupted"),
            (NotWrittenError("a fault of ours: no space left"), "server_error"),
            (KeyError("a fault of ours"), "server_error"),
        ]
        for error, code in errors:
            job = of.new("me")
            of.run(job, fail(error))
            await of.settle()
            assert (job["status"], job["error"]["code"]) == ("failed", code)
            assert "fault of ours" not in job["error"]["message"]

    asyncio.run(check())
    (logged,) = [r for r in caplog.records if r.name == "anyweave.serving.jobs"]
    assert "fault of ours" in (logged.exc_text or str(logged.exc_info))


def test_a_job_that_cannot_be_written_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, value: object) -> None:
        raise NotWrittenError(f"{path}: no space left on device")

    of = jobs(tmp_path)
    monkeypatch.setattr("anyweave.serving.jobs.write_json", full)
    with pytest.raises(NotWrittenError, match="no space"):
        of.new("me")
    assert of.all("me") == []


def test_jobs_are_bounded_and_belong_to_one_client(tmp_path: Path) -> None:
    async def check() -> None:
        of = jobs(tmp_path, most=1, most_kept=2)
        running = of.new("me")
        of.run(running, never())
        await asyncio.sleep(0.01)
        with pytest.raises(ApiError) as full:
            of.check_room()
        assert full.value.status == 429
        with pytest.raises(ApiError) as foreign:
            of.find(running["id"], "you")
        assert foreign.value.status == 404
        of.remove(running)
        await of.settle()
        of.check_room()
        assert list(tmp_path.glob("video_*")) == []
        for prompt in "abcd":
            of.run(of.new("me", prompt=prompt), clip())
            await of.settle()
        assert len(of.all("me")) <= 3
        assert "owner" not in shown(of.all("me")[0])

    asyncio.run(check())


SERVER = """
import sys
from pathlib import Path
from anyweave.generation import GenerationOptions
from anyweave.serving import Settings, create_app, serve
from anyweave.testing.model import tiny_model

settings = Settings(name="tiny", folder=Path(sys.argv[1]), grace=10.0)
app = create_app(tiny_model(), settings, GenerationOptions(max_new_tokens=8))
serve(app, settings, port=0, ready=lambda url: print(url, flush=True))
"""


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def states(url: str, ids: list[str]) -> list[dict[str, Any]]:
    return [httpx2.get(f"{url}/v1/videos/{job_id}").json() for job_id in ids]


@pytest.mark.slow
def test_kill_minus_nine_in_the_middle_of_twenty_jobs(tmp_path: Path) -> None:
    process, url = started(tmp_path)
    try:
        body = {"prompt": "waves", "num_inference_steps": 20}
        ids = [httpx2.post(f"{url}/v1/videos", json=body).json()["id"] for _ in range(20)]
        deadline = time.monotonic() + 120
        while sum(s["status"] == "completed" for s in states(url, ids)) < 5:
            assert time.monotonic() < deadline
    finally:
        process.kill()
        process.wait()
    process, url = started(tmp_path)
    try:
        after = states(url, ids)
        completed = [s["id"] for s in after if s["status"] == "completed"]
        assert 5 <= len(completed) < 20
        for state in after:
            if state["id"] in completed:
                content = httpx2.get(f"{url}/v1/videos/{state['id']}/content").content
                assert content[4:8] == b"ftyp"
            else:
                assert (state["status"], state["error"]["code"]) == ("failed", "interrupted")
    finally:
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_sigterm_ends_what_was_taken(tmp_path: Path) -> None:
    """A stream that runs goes on to its end, a job too; new requests are told to come again."""
    process, url = started(tmp_path)
    try:
        body = {
            "messages": [{"role": "user", "content": "hi"}],
            "force": "image",
            "num_inference_steps": 40,
            "stream": True,
        }
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert any('"images"' in line for line in rest)
        assert process.wait(30) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
