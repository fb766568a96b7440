"""Clips as jobs: ``/v1/videos``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from anyweave.messages import Text, Video
from anyweave.serving import schema
from anyweave.serving.chat import Ask, Desk
from anyweave.serving.errors import bad_request
from anyweave.serving.intake import Turn
from anyweave.serving.jobs import Jobs, shown
from anyweave.serving.routes_chat import base_url, check_model, desk_of
from anyweave.serving.routes_media import read_form, sized
from anyweave.web import medium_response

router = APIRouter()
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": "#/components/schemas/VideoRequest"}}
            for kind in ("application/json", "multipart/form-data")
        },
    }
}


@router.post("/v1/videos", summary="Begin a clip", tags=["videos"], openapi_extra=_BODY)
async def create_video(request: Request) -> dict[str, Any]:
    """A job, on disk when this answers. Ask for it by its id."""
    desk, jobs = desk_of(request), _jobs(request)
    if request.headers.get("content-type", "").startswith("application/json"):
        body = schema.VideoRequest.model_validate_json(await request.body())
    else:
        fields, _ = await read_form(request, ())
        body = schema.VideoRequest.model_validate(fields)
    check_model(desk, body.model)
    options = desk.options(body, only="video", **sized(body), **_frames(desk, body))
    jobs.check_room()
    job = jobs.new(
        request.state.client,
        model=desk.settings.name,
        prompt=body.prompt,
        seconds=None if body.seconds is None else f"{body.seconds:g}",
        size=body.size,
        seed=options.seed,
    )
    ask = Ask(
        client=request.state.client,
        turns=[Turn("user", (Text(body.prompt),), b"", None)],
        options=options,
        keep=False,
        patient=True,
    )
    jobs.run(job, _clip(desk, jobs, job, ask, base_url(desk, request)))
    return shown(job)


def _frames(desk: Desk, body: schema.VideoRequest) -> dict[str, Any]:
    """The number of frames for a length in seconds."""
    if body.seconds is None:
        return {}
    if body.num_frames is not None:
        raise bad_request("give seconds or num_frames, not both", "seconds")
    own = desk.engine.facts.rates.get("video")
    rate = body.fps or own or 8.0
    frames, most = body.seconds * rate, desk.settings.max_num_frames
    if frames > most:
        raise bad_request(
            f"{body.seconds:g} seconds are {frames:g} frames, at most {most} are taken", "seconds"
        )
    return {"num_frames": max(1, round(frames))}


async def _clip(desk: Desk, jobs: Jobs, job: dict[str, Any], ask: Ask, url: str) -> bytes:
    reply = desk.reply(as_url=True, base_url=url)
    async for delta in desk.answer(ask, reply):
        progress = delta.get("progress")
        if progress and progress["total"]:
            jobs.progress(job, progress["step"], progress["total"])
    made = reply.media[0].made
    assert made is not None
    return made.content


@router.get("/v1/videos", summary="Your clips", tags=["videos"])
async def list_videos(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: str | None = None,
    order: Literal["desc", "asc"] = "desc",
) -> dict[str, Any]:
    """The newest first, or with `order=asc` the oldest; the next page begins `after` an id."""
    jobs = _jobs(request).all(request.state.client)
    found = [shown(job) for job in (jobs if order == "desc" else reversed(jobs))]
    if after is not None:
        ids = [job["id"] for job in found]
        if after not in ids:
            raise bad_request(f"you have no video {after}", "after")
        found = found[ids.index(after) + 1 :]
    page = found[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
    return {"object": "list", "data": page, "has_more": len(page) < len(found), **ends}


@router.get("/v1/videos/{video_id}", summary="How a clip is doing", tags=["videos"])
async def video(video_id: str, request: Request) -> dict[str, Any]:
    """Its status: queued, in_progress, completed or failed."""
    return shown(_jobs(request).find(video_id, request.state.client))


@router.get("/v1/videos/{video_id}/content", summary="The clip", tags=["videos"])
async def video_content(
    video_id: str, request: Request, variant: Literal["video"] = "video"
) -> Response:
    """An MP4, whole or the range that is asked for."""
    jobs = _jobs(request)
    return medium_response(Video(jobs.clip(jobs.find(video_id, request.state.client))))


@router.delete("/v1/videos/{video_id}", summary="Forget a clip", tags=["videos"])
async def delete_video(video_id: str, request: Request) -> dict[str, Any]:
    """The job and its clip; one that runs is stopped."""
    jobs = _jobs(request)
    jobs.remove(jobs.find(video_id, request.state.client))
    return {"id": video_id, "object": "video.deleted", "deleted": True}


def _jobs(request: Request) -> Jobs:
    jobs: Jobs = request.app.state.jobs
    return jobs
