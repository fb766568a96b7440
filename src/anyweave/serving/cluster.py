"""The server's engine on a Ray cluster (extra ``ray``): the language model and each decoder are
deployments of Ray Serve, which places them, scales each on its own and restarts what dies.

    this process: the app        replicas of "language"         replicas of "image", "audio", ...
    conversation ---- turn ----> encoders, language model
                 <--- events --- output projector -- conditioning --> decoder
                                                  <--- progress, media ---

The app is the one that serves a model in its own process. A conversation goes to the same replica
as long as it lives, which keeps its keys and values; another one recomputes them.
"""

from __future__ import annotations

import asyncio
import operator
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, cast

import anyio
import numpy as np
from anyio import to_thread
from torch import Tensor

from anyweave.decoders.sampling import Steps
from anyweave.errors import nearest
from anyweave.generation import ChatSession, Done, Event, GenerationOptions
from anyweave.generation.chat import common_prefix
from anyweave.messages import Media, Message, Modality
from anyweave.model import NextGPT
from anyweave.model.checkpoint import load_decoders
from anyweave.model.decoder_pool import DecoderPool
from anyweave.serving.engine import Engine, Facts
from anyweave.serving.errors import ApiError

LANGUAGE = "language"
_STICKY = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
_KEPT = 64  # conversations that a replica remembers
_AT_ONCE = 64  # concurrent requests of a replica, including waiting ones


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a deployment grows: replicas by load from `least` to `most`, each with `gpus` (a share
    of one, or several). A replica without a GPU takes `cpus` cores.
    """

    least: int = 1
    most: int = 1
    gpus: float = 0
    cpus: float = 1

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most or self.gpus < 0 or self.cpus < 0:
            raise ValueError(f"replicas are 1 or more, GPUs and cores 0 or more, got {self}")


def read_scales(given: Sequence[str]) -> dict[str, Scale]:
    """Scales by deployment from lines like ``image=1-4,gpus=0.5``. Raises `ValueError`."""
    found: dict[str, Scale] = {}
    for line in given:
        shape = re.fullmatch(
            r"(\w+)=(\d+)(?:-(\d+))?(?:,gpus=(\d*\.?\d+))?(?:,cpus=(\d*\.?\d+))?", line
        )
        if shape is None or shape[1] in found:
            raise ValueError(
                "a scale is NAME=REPLICAS or NAME=LEAST-MOST, then ,gpus=N and ,cpus=N where they "
                f"are not 0 and 1, once for each part; got {line!r}"
            )
        name, least, most, gpus, cpus = shape.groups()
        found[name] = Scale(
            least=int(least), most=int(most or least), gpus=float(gpus or 0), cpus=float(cpus or 1)
        )
    return found


class ClusterEngine(Engine):
    """An `Engine` whose model is on a Ray cluster.

    `source` is an embedded name, a hub id, or a folder that every machine finds under this name. It
    joins the cluster that runs on this machine or that ``RAY_ADDRESS`` names, else it starts one on
    this machine alone. `rows` conversations are answered at a time in each replica of the language
    model. `scales` are by deployment: ``language`` and the decoders' modalities. Raises
    `ValueError` for other names, if a part cannot be loaded, and without Ray.
    """

    def __init__(
        self,
        source: str,
        options: GenerationOptions | None = None,
        *,
        rows: int = 16,
        scales: Mapping[str, Scale] | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.options = options or GenerationOptions()
        modalities = list(load_decoders(source))
        scales = scales or {}
        for name in scales:
            if name not in (LANGUAGE, *modalities):
                raise ValueError(
                    f"there is no deployment {name!r}; {nearest(name, [LANGUAGE, *modalities])}"
                )
        ray = _ray()
        try:
            ray.init(ignore_reinit_error=True, log_to_driver=False)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(
                f"the Ray cluster cannot be joined: {error}; is it running (ray status), and is "
                "RAY_AUTH_MODE here what it is there?"
            ) from error
        ray.serve.start(proxy_location="Disabled")
        decoders = {
            modality: _deployed(Decoder, modality, scales).bind(source, modality)
            for modality in modalities
        }
        sticky = ray.serve.config.RequestRouterConfig(request_router_class=_STICKY)
        speaker = _deployed(Language, LANGUAGE, scales, request_router_config=sticky)
        self._app = f"anyweave-{secrets.token_hex(4)}"
        try:
            bound = speaker.bind(source, self.options, rows, trust_remote_code, decoders)
            self._language = ray.serve.run(bound, name=self._app, route_prefix=None)
            self.facts = self._language.facts.remote().result()
        except (ray.exceptions.RayError, RuntimeError) as error:
            self.close()
            raise ValueError(f"{source} does not start on the cluster: {error}") from error

    def chat(self, messages: Sequence[Message] = ()) -> ChatSession:
        """A conversation that has heard `messages`."""
        return cast("ChatSession", FarSession(self._language, messages))

    def send(
        self, session: ChatSession, message: Message, options: GenerationOptions, **how: Any
    ) -> Generator[Event, None, None]:
        """Events of a reply, as `ChatSession.send`."""
        return session.send(message, options, **how)

    def close(self) -> None:
        """Remove the deployments from the cluster, which keeps running."""
        _ray().serve.delete(self._app)


def _deployed(kind: type, name: str, scales: Mapping[str, Scale], **more: Any) -> Any:
    """`kind` as a deployment of Ray Serve."""
    scale = scales.get(name, Scale())
    resources = {"num_gpus": scale.gpus} if scale.gpus else {"num_cpus": scale.cpus}
    if scale.least == scale.most:
        more["num_replicas"] = scale.least
    else:
        growth = {"min_replicas": scale.least, "max_replicas": scale.most}
        more["autoscaling_config"] = {**growth, "target_ongoing_requests": 2}
    return _ray().serve.deployment(
        kind, name=name, ray_actor_options=resources, max_ongoing_requests=_AT_ONCE, **more
    )


class FarSession:
    """The part of a `ChatSession` that a server uses, with the work done by a replica.

    Each turn sends the messages; a replica that has heard them before continues from there.
    """

    def __init__(self, language: Any, messages: Sequence[Message]) -> None:
        self.messages = list(messages)
        self._heard: list[Message] = []  # by the replica
        name = secrets.token_hex(8)
        self._name, self._language = name, language.options(stream=True, session_id=name)

    def send(
        self, message: Message, options: GenerationOptions, *, source: Media | None = None
    ) -> Generator[Event, None, None]:
        """Events of a reply, as `ChatSession.send`."""
        before = self.messages
        known = (len(self._heard), common_prefix(self._heard, before, same=operator.is_))
        answers = self._language.send.remote(self._name, known, before, message, options, source)
        try:
            for answer in answers:
                if isinstance(answer, ValueError):
                    raise answer
                if isinstance(answer, tuple):
                    kept, answer = answer
                    left = [m for i, m in enumerate([*before, message]) if i in kept]
                    self.messages = [*left, answer.message]
                    self._heard = list(self.messages)
                yield answer
        except _ray().exceptions.RayError as error:
            raise ApiError(
                503,
                f"a part of the cluster was lost ({type(error).__name__}); ask again",
                code="cluster",
                retry_after=5,
            ) from error
        finally:
            answers.cancel()


class Language:
    """A replica of the language model, with encoders and projectors."""

    def __init__(
        self,
        source: str,
        options: GenerationOptions,
        rows: int,
        trust_remote_code: bool,
        decoders: Mapping[Modality, Any],
    ) -> None:
        model = NextGPT.from_pretrained(
            source, device=_device(), trust_remote_code=trust_remote_code
        )
        self._engine = Engine(model, options, rows=rows)
        rates = self._engine.facts.rates
        far = FarDecoders({m: FarDecoder(handle, rates[m]) for m, handle in decoders.items()})
        model.decoders = cast("DecoderPool", far)
        self._kept: OrderedDict[str, ChatSession] = OrderedDict()

    def facts(self) -> Facts:
        """What the app must know of the model."""
        return self._engine.facts

    async def send(
        self,
        name: str,
        known: tuple[int, int],
        messages: list[Message],
        message: Message,
        options: GenerationOptions,
        source: Media | None,
    ) -> AsyncGenerator[Any, None]:
        """Events of a reply in the conversation `name`; with the last one, the indices of the
        messages that are left. A user's mistake is yielded, not raised.

        Args:
            known: how many messages it had after its last turn, and how many of these still hold.
        """
        session = self._session(name, known, messages)
        before = [*session.messages, message]
        events = self._engine.send(session, message, options, source=source)
        try:
            async with aclosing(_in_threads(events)) as answers:
                async for event in answers:
                    if isinstance(event, Done):
                        left = session.messages
                        same = (any(m is other for other in left) for m in before)
                        yield {i for i, stays in enumerate(same) if stays}, event
                    else:
                        yield event
        except ValueError as error:
            yield ValueError(str(error))

    def _session(self, name: str, known: tuple[int, int], messages: list[Message]) -> ChatSession:
        length, common = known
        session = self._kept.pop(name, None)
        if session is None or len(session.messages) != length:
            session = self._engine.chat(messages)
        else:  # its own messages, whose media it has seen
            session.messages = [*session.messages[:common], *messages[common:]]
        self._kept[name] = session
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return session


class FarDecoder:
    """A decoder whose work is done by a replica. Do not call it from an event loop."""

    def __init__(self, handle: Any, rate: float | None) -> None:
        self._handle, self.rate = handle, rate

    def encode_captions(self, captions: Sequence[str]) -> Tensor:
        """As a decoder's."""
        return cast("Tensor", self._handle.encode.remote("encode_captions", captions).result())

    def encode_media(self, arrays: Sequence[np.ndarray], **how: Any) -> Tensor:
        """As a decoder's."""
        return cast("Tensor", self._handle.encode.remote("encode_media", arrays, **how).result())

    def generate_steps(
        self, conditioning: Tensor, *, seeds: Sequence[int], **arguments: Any
    ) -> Steps[list[np.ndarray]]:
        """As a decoder's."""
        far = self._handle.options(stream=True)
        answers = far.steps.remote(conditioning.cpu(), list(seeds), arguments)
        made: list[np.ndarray] = []
        try:
            for answer in answers:
                if isinstance(answer, ValueError):
                    raise answer
                if isinstance(answer, list):
                    made = answer
                else:
                    yield answer
        finally:
            answers.cancel()
        return made


class FarDecoders(dict[Modality, FarDecoder]):
    """Takes the place of a model's `DecoderPool`."""

    elsewhere = True
    adapters: Mapping[Modality, Any] = MappingProxyType({})  # the replicas have them


class Decoder:
    """A replica of a decoder. It handles one request at a time."""

    def __init__(self, source: str, modality: Modality) -> None:
        self._decoder = load_decoders(source)[modality].to(_device())
        self._turn = asyncio.Lock()

    async def encode(self, how: str, *given: Any, **more: Any) -> Tensor:
        """Run the decoder's method `how` on captions or media, in a thread, so that others' steps
        are still delivered.
        """
        async with self._turn:
            made = await to_thread.run_sync(partial(getattr(self._decoder, how), *given, **more))
        return cast("Tensor", made.cpu())

    async def steps(
        self, conditioning: Tensor, seeds: list[int], arguments: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """A `Step` after each step, and finally the media as a list."""

        def all_of_it() -> Generator[Any, None, None]:
            yield (yield from self._decoder.generate_steps(conditioning, seeds=seeds, **arguments))

        try:
            async with self._turn, aclosing(_in_threads(all_of_it())) as items:
                async for item in items:
                    yield item
        except ValueError as error:
            yield ValueError(str(error))


async def _in_threads(items: Generator[Any, None, None]) -> AsyncGenerator[Any, None]:
    """Items, each computed in a thread. If nobody listens any more, it ends at the next one."""
    end, at_work = object(), threading.Lock()

    def take() -> Any:
        with at_work:
            return next(items, end)

    def close() -> None:
        with at_work:  # Ray cancels the wait, not the thread
            items.close()

    try:
        while (item := await to_thread.run_sync(take)) is not end:
            yield item
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(close)


def _device() -> str:
    """What Ray has given to this replica."""
    return "cuda" if _ray().get_gpu_ids() else "cpu"


def _ray() -> Any:
    """Ray with Ray Serve. Raises `ValueError` where it is not installed."""
    try:
        import ray.serve.config
    except ImportError as error:
        raise ValueError("Ray is not installed: pip install 'anyweave[serve,ray]'") from error
    return ray
