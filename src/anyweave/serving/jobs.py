"""Clips as jobs: on disk from the moment they are accepted, so however the server ends, the
finished ones remain and the others are marked as failed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anyio import to_thread

from anyweave.files import path_lock, read_object, whole_file, write_json
from anyweave.serving.errors import ApiError, value_error

_log = logging.getLogger(__name__)
_ENDED = ("completed", "failed")


class Jobs:
    """The jobs of one server: ``ID.json`` and, of a completed one, ``ID.mp4``.

    Raises `ValueError` where another server keeps its jobs in `folder`.
    """

    def __init__(self, folder: Path, *, most: int, most_kept: int) -> None:
        self._folder, self._most, self._most_kept = folder, most, most_kept
        self._tasks: dict[str, asyncio.Task[None]] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # nobody else's business
        self._alone = ExitStack()
        self._alone.enter_context(path_lock(folder, doing="is a server that keeps its jobs there"))
        self._jobs = {path.stem: read_object(path) for path in folder.glob("video_*.json")}
        for job in self._jobs.values():
            if job["status"] not in _ENDED:
                self._fail(
                    job, "interrupted", "the server ended before this job did; send it again"
                )

    @property
    def active(self) -> int:
        """Jobs that wait or run."""
        return len(self._tasks)

    def check_room(self) -> None:
        """Raise `ApiError` if there is no room for one more job."""
        if len(self._tasks) >= self._most:
            raise ApiError(
                429,
                f"{self._most} jobs wait or run; try again later",
                code="queue_full",
                retry_after=10,
            )

    def new(self, owner: str, **described: Any) -> dict[str, Any]:
        """A queued job, on disk when this returns. Raises `ValueError` if it cannot be written;
        there is no job then.
        """
        job = {
            "id": f"video_{secrets.token_hex(16)}",
            "object": "video",
            "status": "queued",
            "progress": 0,
            "created_at": int(time.time()),
            "completed_at": None,
            "expires_at": None,
            "error": None,
            "remixed_from_video_id": None,
            "owner": owner,
            **described,
        }
        self._jobs[job["id"]] = job
        try:
            self._write(job)
        except ValueError:
            self.remove(job)
            raise
        self._sweep()
        return job

    def run(self, job: dict[str, Any], work: Coroutine[Any, Any, bytes]) -> None:
        """Let `work` make the clip; the job records the outcome."""
        task = asyncio.get_running_loop().create_task(self._run(job, work))
        self._tasks[job["id"]] = task
        task.add_done_callback(lambda _: self._tasks.pop(job["id"], None))

    def progress(self, job: dict[str, Any], step: int, total: int) -> None:
        """A step is done. Not saved: it dies with the server anyway."""
        job["status"], job["progress"] = "in_progress", min(99, 100 * step // total)

    def find(self, job_id: str, owner: str) -> dict[str, Any]:
        """A job of `owner`. Raises `ApiError` 404 for any other."""
        job = self._jobs.get(job_id)
        if job is None or job["owner"] != owner:
            raise ApiError(404, f"there is no video {job_id[:64]!r}", param="video_id")
        return job

    def all(self, owner: str) -> list[dict[str, Any]]:
        """The jobs of `owner`, the newest first."""
        found = [job for job in self._jobs.values() if job["owner"] == owner]
        return sorted(found, key=lambda job: (-job["created_at"], job["id"]))

    def clip(self, job: dict[str, Any]) -> Path:
        """The clip of a completed job. Raises `ApiError` where it is not there."""
        path = self._folder / f"{job['id']}.mp4"
        if job["status"] != "completed" or not path.is_file():
            raise ApiError(404, f"the video is not there: its job is {job['status']}")
        return path

    def remove(self, job: dict[str, Any]) -> None:
        """Forget a job and its clip; a running one is stopped."""
        if (task := self._tasks.get(job["id"])) is not None:
            task.cancel()
        self._jobs.pop(job["id"], None)
        for suffix in ("json", "mp4"):
            (self._folder / f"{job['id']}.{suffix}").unlink(missing_ok=True)

    async def settle(self) -> None:
        """Wait for the tasks, once the scheduler has been drained."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def close(self) -> None:
        """Release the folder for another server."""
        self._alone.close()

    async def _run(self, job: dict[str, Any], work: Coroutine[Any, Any, bytes]) -> None:
        try:
            content = await work
            # The clip is on the disk before its job says so.
            await to_thread.run_sync(self._write_clip, job, content)
            job |= {"status": "completed", "progress": 100, "completed_at": int(time.time())}
            self._write(job)
        except ApiError as error:
            interrupted = error.code == "stopping"
            self._fail(job, "interrupted" if interrupted else error.code, error.message)
        except ValueError as error:
            told = value_error(error)
            self._fail(
                job, "invalid_request" if told.status == 400 else "server_error", told.message
            )
        except Exception:  # noqa: BLE001  logged whole; the job says so below
            _log.exception("%s failed", job["id"])
        finally:
            if job["id"] in self._jobs and job["status"] not in _ENDED:
                self._fail(job, "server_error", "making the clip failed; see the server's log")

    def _write_clip(self, job: dict[str, Any], content: bytes) -> None:
        path = self._folder / f"{job['id']}.mp4"
        with whole_file(path) as file:
            file.write(content)
        if job["id"] not in self._jobs:  # removed while it was written
            path.unlink(missing_ok=True)

    def _fail(self, job: dict[str, Any], code: str | None, message: str) -> None:
        job |= {"status": "failed", "error": {"code": code or "failed", "message": message}}
        job["completed_at"] = int(time.time())
        self._write(job)

    def _write(self, job: dict[str, Any]) -> None:
        if job["id"] in self._jobs:
            write_json(self._folder / f"{job['id']}.json", job)

    def _sweep(self) -> None:
        ended = [job for job in self._jobs.values() if job["status"] in _ENDED]
        ended.sort(key=lambda job: job["created_at"])
        for job in ended[: max(0, len(self._jobs) - self._most_kept)]:
            self.remove(job)


def shown(job: dict[str, Any]) -> dict[str, Any]:
    """A job as its owner sees it."""
    return {key: value for key, value in job.items() if key != "owner"}
