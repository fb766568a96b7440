"""A conversation with a model on a server: the events of `ChatSession.send`, over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from anyweave.generation.draft import Draft
from anyweave.generation.events import (
    Described,
    Done,
    Dropped,
    Event,
    MediaDone,
    MediaStarted,
    Progress,
    TextDelta,
    Usage,
)
from anyweave.media import encode_part
from anyweave.messages import MEDIA_MODALITIES, MEDIA_TYPES, Media, Message, Modality, Text, kind_of

_PATIENCE = httpx2.Timeout(10, read=600)  # seconds; a decoder may send nothing for minutes


class RemoteSession:
    """One conversation with the model at `url`, over OpenAI's chat completions with media in both
    directions (docs/serving.md). Not thread-safe.

    `model` is the server's name for the model, by default the first that it lists; `fields` are
    extra fields of every request, such as ``temperature``. A turn that ends in an error, or whose
    events are not read to `Done`, leaves the conversation unchanged. Raises `ValueError` for server
    and network errors.
    """

    def __init__(
        self, url: str, *, api_key: str | None = None, model: str | None = None, **fields: Any
    ) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx2.Client(headers=headers, timeout=_PATIENCE)
        self._messages: list[dict[str, Any]] = []
        with self._answer("GET", "models") as response:
            listed = {entry["id"]: entry for entry in json.loads(response.read())["data"]}
        name = model or next(iter(listed), "")
        if name not in listed:
            raise ValueError(
                f"{self._url} has no model {name!r}; it has {', '.join(listed) or 'none'}"
            )
        made = listed[name].get("modalities", {}).get("output", MEDIA_MODALITIES)
        self.generates: tuple[Modality, ...] = tuple(m for m in made if m in MEDIA_MODALITIES)
        self._fields = {"model": name, "stream": True, "stream_options": {"include_usage": True}}
        self._fields |= {key: value for key, value in fields.items() if value is not None}

    def send(
        self, message: Message, *, force: tuple[Modality, ...] = ()
    ) -> Generator[Event, None, None]:
        """Send a message and stream the reply, like `ChatSession.send`."""
        asked = {"role": "user", "content": [_wire_part(part) for part in message.parts]}
        body = {**self._fields, "messages": [*self._messages, asked]}
        if force:
            body["force"] = list(force)
        incoming = _Incoming()
        with self._answer("POST", "chat/completions", json=body) as response:
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    yield from incoming.read(json.loads(line[6:]))
        done = incoming.done(self._url)
        self._messages += [asked, incoming.heard()]
        yield done

    @contextmanager
    def _answer(self, method: str, route: str, **content: Any) -> Iterator[httpx2.Response]:
        """A successful response whose body is still to be read. Raises `ValueError` otherwise."""
        try:
            with self._client.stream(method, f"{self._url}/v1/{route}", **content) as response:
                if not response.is_success:
                    raise ValueError(f"{self._url} says: {_reason(response)}")
                yield response
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ValueError(f"{self._url} does not answer ({error}); is it running?") from error
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f"{self._url} does not speak OpenAI's API ({type(error).__name__}: {error})"
            ) from error


class _Incoming:
    """A streamed reply."""

    def __init__(self) -> None:
        self._draft = Draft()
        self._started: dict[str, MediaStarted] = {}
        self._usage: dict[str, Any] = {}
        self._parts: list[Any] | None = None
        self._finish: str | None = None

    def read(self, chunk: dict[str, Any]) -> Iterator[Event]:
        """The events of one server-sent event. Raises `ValueError` if it reports an error."""
        if "error" in chunk:
            raise ValueError(chunk["error"]["message"])
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk["choices"][:1]:
            delta = choice["delta"]
            self._finish = choice.get("finish_reason") or self._finish
            self._parts = delta.get("content_parts", self._parts)
            if text := delta.get("content"):
                event = TextDelta(text=text, token_ids=())
                self._draft.add_text(event)
                yield event
            if progress := delta.get("progress"):
                yield from self._progress(progress)
            if (sound := delta.get("audio")) and (data := sound.get("data")):
                caption = sound.get("transcript")
                yield from self._medium("audio", {**sound, "caption": caption}, data)
            for name in dict.fromkeys(kind_of(m).wire_list for m in MEDIA_MODALITIES):
                for entry in delta.get(name) or ():
                    modality = entry["type"].removesuffix("_url")
                    data = entry[f"{modality}_url"]["url"].partition(";base64,")[2]
                    yield from self._medium(modality, entry, data)

    def done(self, url: str) -> Done:
        """The last event. Raises `ValueError` if the stream broke off."""
        if self._finish is None:
            raise ValueError(f"{url} stopped in the middle of its reply")
        lost = [s for i, s in enumerate(self._started.values()) if i not in self._draft.parts]
        if lost:
            raise ValueError(f"{url} sent no data for: {', '.join(s.modality for s in lost)}")
        usage = self._usage
        return Done(
            message=self._draft.message(),
            finish_reason="length" if self._finish == "length" else "stop",
            usage=Usage(
                prompt_tokens=usage.get("prompt_tokens", 0),
                cached_tokens=(usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
                completion_tokens=usage.get("completion_tokens", 0),
                dropped=Dropped(**(usage.get("dropped") or {})),
                described=tuple(Described(**told) for told in usage.get("described") or ()),
                context_length=usage.get("context_length"),
                shortened=tuple(usage.get("shortened") or ()),
                seconds=usage.get("seconds") or {},
                steps=usage.get("steps") or {},
            ),
        )

    def heard(self) -> dict[str, Any]:
        """The reply as the next request sends it back: media by their ids."""
        if self._parts is not None:
            return {"role": "assistant", "content_parts": self._parts}
        return {"role": "assistant", "content": self._draft.message().text}

    def _progress(self, progress: dict[str, Any]) -> Iterator[Event]:
        known = progress["part_id"] in self._started
        if "modality" in progress or known:
            started = self._start(
                progress["part_id"], progress.get("modality"), progress.get("caption")
            )
            if not known:
                yield started
            elif progress["total"]:
                yield Progress(
                    modality=started.modality,
                    indices=(started.index,),
                    step=progress["step"],
                    total=progress["total"],
                )

    def _medium(self, modality: Modality, entry: dict[str, Any], data: str) -> Iterator[Event]:
        name = entry.get("id") or f"medium-{len(self._started)}"
        known = name in self._started
        started = self._start(name, modality, entry.get("caption"))
        if not known:  # the server sent no progress
            yield started
        content = base64.b64decode(data)
        part = MEDIA_TYPES[modality](content, caption=started.caption, generated=True)
        self._draft.parts[started.index] = part
        yield MediaDone(index=started.index, part=part)

    def _start(self, name: str, modality: Any, caption: str | None) -> MediaStarted:
        if name not in self._started:
            index = len(self._started)
            started = MediaStarted(index=index, modality=modality, caption=caption or "")
            self._started[name] = started
            self._draft.said.append(started)
        return self._started[name]


def _wire_part(part: Text | Media) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    kind = f"{part.modality}_url"
    data = base64.b64encode(encode_part(part)[1]).decode()
    # The server detects the format from the bytes, so the type needs no detail.
    return {"type": kind, kind: {"url": f"data:{part.modality}/*;base64,{data}"}}


def _reason(response: httpx2.Response) -> str:
    """The message of an error response, in one line."""
    text = response.read().decode(errors="replace").strip()
    try:
        said = json.loads(text)["error"]["message"]
    except (ValueError, KeyError, TypeError):
        said = " ".join(text.split())[:200] or response.reason_phrase
    hint = "; give --api-key" if response.status_code == 401 else ""
    return f"{said} ({response.status_code}){hint}"
