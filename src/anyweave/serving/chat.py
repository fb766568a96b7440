"""Replies for requests: who speaks, with what options, and what goes on the wire."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Collection, Generator, Iterable, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from anyweave import media
from anyweave.decoders.schedulers import OWN, SCHEDULERS
from anyweave.errors import nearest
from anyweave.generation import GenerationOptions, MediaDone
from anyweave.media.showing import array_and_rate
from anyweave.messages import Message, Modality, Part, Text, kind_of
from anyweave.serving import schema
from anyweave.serving.conversations import Conversation, Conversations
from anyweave.serving.engine import Engine
from anyweave.serving.errors import bad_request
from anyweave.serving.files import FileStore, file_ending
from anyweave.serving.intake import Encoded, Intake, Turn
from anyweave.serving.metrics import Metrics
from anyweave.serving.reply import Made, WireReply
from anyweave.serving.scheduler import Scheduler
from anyweave.serving.settings import Settings

_DECODING = (
    "height",
    "width",
    "num_inference_steps",
    "guidance_scale",
    "scheduler",
    "negative_prompt",
    "audio_length",
    "num_frames",
    "fps",
)


@dataclass(kw_only=True)
class Ask:
    """A request for one reply. `turns` end with the user's."""

    client: str
    turns: list[Turn]
    options: GenerationOptions
    source: Encoded | None = None
    """The medium to edit."""
    keep: bool = True
    """Whether its conversation may be continued."""
    patient: bool = False
    """Whether it waits for its turn however long that takes."""
    formats: dict[Modality, str] = field(default_factory=dict)
    known: int = 0
    """Number of turns that were heard before."""
    begun: float = field(default_factory=time.monotonic)
    waited: float = 0.0


class Heard(NamedTuple):
    """A turn that has begun: the user's message, and what the session knew before it."""

    conversation: Conversation
    user: Message
    before: list[Message]


@dataclass
class Desk:
    """Everything an answer needs; created once per server."""

    settings: Settings
    engine: Engine
    intake: Intake
    files: FileStore
    conversations: Conversations
    scheduler: Scheduler
    metrics: Metrics

    async def answer(self, ask: Ask, reply: WireReply) -> AsyncGenerator[dict[str, Any], None]:
        """Deltas of a reply as it comes; `reply` has collected all of it at the end.

        Raises `ApiError`, and `ValueError` for what the model cannot do.
        """
        kept, ask.known = self.conversations.take(ask.client if ask.keep else "", ask.turns[:-1])
        heard: list[Heard] = []
        done = False
        try:
            work = partial(self._events, kept, ask, reply, heard)
            running = self.scheduler.work(ask.client, work, patient=ask.patient)
            async with aclosing(running) as events:
                async for delta in events:
                    if delta is not None:
                        yield delta
            assert reply.done is not None
            done = True
            self.metrics.count_reply(reply.done.usage)
            conversation, user, _ = heard[0]
            # Of the whole request, whatever part of it this turn was the first to drop.
            conversation.dropped += reply.done.usage.dropped
            usage = replace(reply.done.usage, dropped=conversation.dropped)
            reply.done = replace(reply.done, usage=usage)
            if ask.keep:
                self.conversations.put(conversation, ask.turns, user, reply.done.message)
        finally:
            if not done and kept is not None:
                if heard:  # the thread may have ended a reply that the client has not got
                    kept.session.messages = heard[0].before
                self.conversations.put_back(kept)

    async def whole(self, ask: Ask, reply: WireReply) -> None:
        """`answer` for callers that wait for all of it."""
        async with aclosing(self.answer(ask, reply)) as deltas:
            async for _ in deltas:
                pass

    def _events(
        self,
        kept: Conversation | None,
        ask: Ask,
        reply: WireReply,
        heard: list[Heard],
    ) -> Generator[dict[str, Any] | None, None, None]:
        """The engine's events as deltas, with media saved, and None while media are unpacked: there
        too the work can be stopped. Runs in a thread, and only when its turn has come,
        so that few media are unpacked at a time. `heard` gets what the model was asked.
        """
        ask.waited = time.monotonic() - ask.begun
        messages, unpacked = [], 0
        for turn in ask.turns[ask.known :]:
            parts: list[Part] = []
            for part in turn.parts:
                if isinstance(part, Text):
                    parts.append(part)
                    continue
                parts.append(medium := (yield from self.intake.decoded(part)))
                unpacked += getattr(medium.source, "nbytes", 0)
                if unpacked > (most := self.settings.max_unpacked):
                    raise bad_request(
                        f"the media take more than {most:,} bytes once unpacked; send fewer or "
                        "smaller ones",
                        "messages",
                        "too_large",
                    )
            messages.append(Message(turn.role, parts))
        *history, user = messages
        source = None if ask.source is None else (yield from self.intake.decoded(ask.source))
        conversation = self.conversations.open(ask.client, kept, ask.known, history)
        heard.append(Heard(conversation, user, list(conversation.session.messages)))
        events = self.engine.send(conversation.session, user, ask.options, source=source)
        with closing(events):
            for event in events:
                if isinstance(event, MediaDone):
                    yield from reply.add(self._written(event, ask, reply))
                else:
                    yield from reply.add(event)

    def _written(self, event: MediaDone, ask: Ask, reply: WireReply) -> Made:
        modality = event.part.modality
        kind = kind_of(modality)
        format = ask.formats.get(modality, kind.formats[0])
        array, rate = array_and_rate(event.part)
        content = media.encode(
            modality, array, rate=rate, format=format, generated=event.part.generated
        )
        ending = file_ending(modality, format)
        return Made(
            index=event.index,
            content=content,
            media_type=kind.media_type(format),
            format=format,
            expires_at=self.files.put(reply.file_id(event.index), content, ending),
            edited=event.edited,
            retrieved=event.retrieved,
        )

    def options(
        self, request: schema.Knobs, *, only: Modality | None = None, **more: Any
    ) -> GenerationOptions:
        """Options of a reply within the server's limits. `only`: it is a medium of this kind, so
        sizes of others mean nothing. Raises `ApiError`, `ValueError`.
        """
        if only is not None:
            sizes = kind_of(only).sizes
            own = {*sizes, *(("fps",) if "num_frames" in sizes else ())}
            for name in ("height", "width", "num_frames", "fps", "audio_length"):
                if getattr(request, name) is not None and name not in own:
                    raise bad_request(f"{name} means nothing for this: it is one {only}", name)
            more |= {"modalities": (only,), "force": (only,), "max_media": 1, "retrieve": False}
        settings = self.settings
        most = {
            "num_inference_steps": settings.max_steps,
            "height": settings.max_side,
            "width": settings.max_side,
            "num_frames": settings.max_num_frames,
            "audio_length": settings.max_audio_length,
            "max_new_tokens": settings.max_new_tokens,
        }
        given = {name: getattr(request, name) for name in _DECODING}
        given = {name: value for name, value in (given | more).items() if value is not None}
        for name, limit in most.items():
            if given.get(name, 0) > limit:
                raise bad_request(f"{name} is {given[name]}, at most {limit} is taken", name)
        if request.scheduler not in (None, OWN, *SCHEDULERS):
            hint = nearest(request.scheduler, [OWN, *SCHEDULERS])
            raise bad_request(f"unknown scheduler {request.scheduler!r}; {hint}", "scheduler")
        seed = secrets.randbits(31) if request.seed is None else request.seed % 2**31
        temperature = getattr(request, "temperature", None)
        given["temperature"] = settings.temperature if temperature is None else temperature
        return self.engine.options.with_overrides(seed=seed, **given)

    def reply(self, *, as_url: bool, base_url: str) -> WireReply:
        """An empty reply."""
        return WireReply(
            reply_id=f"chatcmpl-{secrets.token_hex(12)}",
            as_url=as_url,
            link=lambda file_id: f"{base_url}/v1/files/{file_id}/content",
            token=self.engine.facts.signals.token,
            new_id=FileStore.new_id,
        )

    def inside(self, ask: Ask, reply: WireReply) -> dict[str, Any]:
        """What happened inside: our extension ``anyweave``."""
        assert reply.done is not None
        facts, usage = self.engine.facts, reply.done.usage
        read = {p.modality for t in ask.turns[ask.known :] if t.role == "user" for p in t.parts}
        made = [m for m in reply.media if m.made is None or m.made.retrieved is None]
        drawn = {medium.started.modality for medium in made}
        told = drawn if facts.reads_states else ()
        stations: list[tuple[str, Iterable[str], Collection[str], Mapping[Any, float]]] = [
            ("encoder", facts.encoders, read, {}),
            ("input_projector", facts.input_projectors, read, {}),
            ("language_model", ("text",), {"text"}, usage.seconds),
            ("output_projector", facts.output_projectors, told, {}),
            ("decoder", facts.signals.modalities, drawn, usage.seconds),
        ]
        parts = [
            {
                "part": station if name == "text" else f"{station}:{name}",
                "active": name in active,
                "seconds": seconds.get(name),
            }
            for station, names, active, seconds in stations
            for name in names
        ]
        return {
            "seed": ask.options.seed,
            "signals": reply.signals(),
            "edited": reply.edited(),
            "retrieved": reply.retrieved(),
            "parts": parts,
            "waited_seconds": round(ask.waited, 4),
            "continued_turns": ask.known,
        }


def chat_options(desk: Desk, request: schema.ChatRequest) -> GenerationOptions:
    """Options of a chat completion."""
    for name, needed, given in (
        ("strength", 'an edit: give edit, "auto" or "always"', request.edit in ("auto", "always")),
        ("previews", "a stream: give stream, true", request.stream),
        ("stream_options", "a stream: give stream, true", request.stream),
    ):
        if getattr(request, name) and not given:
            raise bad_request(f"{name} is only for {needed}", name)
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise bad_request("give max_completion_tokens or max_tokens, not both", "max_tokens")
    return desk.options(
        request,
        max_new_tokens=request.max_completion_tokens or request.max_tokens,
        top_p=request.top_p,
        top_k=request.top_k,
        repetition_penalty=request.repetition_penalty,
        modalities=None if request.modalities is None else tuple(request.modalities),
        force=() if request.force is None else request.force,
        max_media=request.max_media,
        edit=request.edit,
        strength=request.strength,
        stop=request.stop,
        retrieve=request.retrieve,
        previews=request.previews,
    )
