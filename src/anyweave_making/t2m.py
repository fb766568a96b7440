"""Text to media (T2M, paper section 5.2): captions of media, wrapped into requests and replies.

The templates compose a request (opener, verb, word for the medium, politeness, reason) and a reply
around the medium; a language model writes both itself. Every finished exchange is in a journal in
the work folder, so that a stopped run resumes where it was.
"""

from __future__ import annotations

import json
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from anyweave.files import check_new
from anyweave.messages import MEDIA_TYPES, Conversation, Message, Part, Text, kind_of
from anyweave_making.captions import capitalized, caption_form, tidy
from anyweave_making.collection import Item, check_items
from anyweave_making.journal import Journal, work_through
from anyweave_making.llm import LLM, Prompt
from anyweave_making.release import Origin, Record, Release, write_release

__all__ = [
    "ANSWER_TOKENS",
    "Exchange",
    "LLMWriter",
    "TemplateWriter",
    "Writer",
    "build_t2m",
    "t2m_prompts",
]

_SAY: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("t2m_phrases.toml").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Exchange:
    """What a user asks and what the reply says before and after its medium."""

    request: str
    before: str
    after: str = ""

    def conversation(self, item: Item) -> Conversation:
        """The exchange around `item`."""
        medium = MEDIA_TYPES[item.modality](item.path, caption=item.caption)
        said: list[Part] = [medium]
        if self.before:
            said.insert(0, Text(self.before))
        if self.after:
            said.append(Text(f" {self.after}" if self.before else self.after))
        return [Message("user", self.request), Message("assistant", said)]


class Writer(Protocol):
    """Who puts captions into words. `name` goes into the dataset's card."""

    name: str

    def write(self, item: Item, seed: Sequence[int]) -> Exchange:
        """An exchange around `item`: the same for the same seed. Raises `GivenUpError`."""
        ...


class TemplateWriter:
    """Composes phrasings: no two of a hundred exchanges read alike."""

    name = "templates"

    def write(self, item: Item, seed: Sequence[int]) -> Exchange:
        """See `Writer`."""
        draw = _Draw(np.random.default_rng(list(seed)), item)
        before, after = draw.reply()
        return Exchange(draw.request(), before, after)


class _Draw:
    """The choices of one exchange."""

    def __init__(self, rng: np.random.Generator, item: Item) -> None:
        self._rng = rng
        self._modality = item.modality
        x = tidy(item.caption)
        self._form = caption_form(x)
        self._slots = {"x": x, "X": capitalized(x), "n": kind_of(item.modality).noun}

    def request(self) -> str:
        if self._chance(0.35):
            asked = self._pick(self._of_kind("direct")[self._form]).format(**self._slots)
        else:
            link = self._pick(_SAY["links"][self._form]).format(**self._slots)
            v = f"{self._pick(self._of_kind('verbs'))} {self._noun()} {link}"
            asked = self._pick(_SAY["asks"]).format(v=v, V=capitalized(v))
        if self._chance(0.25):
            reason = self._pick(self._of_kind("reasons"))
            asked = f"{reason} {asked}" if self._chance(0.5) else f"{asked} {reason}"
        if self._chance(0.08):  # in a hurry
            asked = asked[:1].lower() + asked[1:].rstrip(".")
        return asked

    def reply(self) -> tuple[str, str]:
        restated = self._chance(0.6)
        lines = _SAY["hand_over"][self._form] if restated else _SAY["hand_over_short"]
        line = self._pick(lines).format(m=self._noun(), **self._slots)
        before = f"{self._pick(_SAY['acknowledge'])} {line}".strip()
        after = self._pick(self._of_kind("offers")) if self._chance(0.35) else ""
        return before, after

    def _noun(self) -> str:
        return self._pick(_SAY["nouns"].get(self._modality, [kind_of(self._modality).noun]))

    def _of_kind(self, table: str) -> Any:
        """The phrases for this kind of medium, or those that fit any."""
        return _SAY[table].get(self._modality, _SAY[table]["other"])

    def _pick(self, options: Sequence[str]) -> str:
        return options[int(self._rng.integers(len(options)))]

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)


_SYSTEM = """You write training examples for an assistant that answers with media of its own making.
You get a caption and the kind of medium it describes. Write what a person could have said to get
this medium, and the assistant's reply.
- Sound like somebody in particular: vary length, tone, reason and politeness; hint instead of
  asking now and then. Do not quote the caption word for word unless it is short.
- The request must still determine what the caption says, and must leave no doubt about the kind
  of medium.
- The reply is one to three sentences, says in its own words what the medium shows, and holds the
  mark <medium> exactly once, where the medium goes.
Answer with one JSON object and nothing else: {"request": "...", "reply": "... <medium> ..."}"""
_MARK = "<medium>"
ANSWER_TOKENS = 80  # about one answer in this form


class LLMWriter:
    """Has a language model write the exchanges."""

    def __init__(self, llm: LLM) -> None:
        self._llm = llm
        self.name = llm.model

    def write(self, item: Item, seed: Sequence[int]) -> Exchange:
        """See `Writer`."""
        return self._llm.ask(t2m_prompt(item, seed), _read_exchange)


def t2m_prompt(item: Item, seed: Sequence[int]) -> Prompt:
    """The question that makes a language model write one exchange."""
    return Prompt(
        system=_SYSTEM,
        user=f"Medium: {item.modality}\nCaption: {item.caption}",
        seed=zlib.crc32(repr(tuple(seed)).encode()) % 2**31,
        max_tokens=300,
    )


def t2m_prompts(items: Sequence[Item], *, per_item: int = 1, seed: int = 0) -> list[Prompt]:
    """All questions of `build_t2m`, for a cost estimate."""
    return [t2m_prompt(items[i], (seed, i, k)) for i in range(len(items)) for k in range(per_item)]


def _read_exchange(answer: str) -> Exchange:
    start, end = answer.find("{"), answer.rfind("}")
    try:
        row = json.loads(answer[start : end + 1])
        request, reply = row["request"].strip(), row["reply"].strip()
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"no JSON object with request and reply: {answer[:80]!r}") from error
    if not request or reply.count(_MARK) != 1:
        raise ValueError(f"the reply needs {_MARK} exactly once: {reply[:80]!r}")
    before, _, after = reply.partition(_MARK)
    return Exchange(request, before.strip(), after.strip())


def build_t2m(
    items: Sequence[Item],
    output: str | Path,
    *,
    work: str | Path,
    writer: Writer | None = None,
    per_item: int = 1,
    seed: int = 0,
    workers: int = 1,
    name: str = "t2m",
    version: str = "0.1.0",
    copy_media: bool = False,
    allow_outside: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Wrap every item `per_item` times and write the dataset folder `output` (see `release`).

    Args:
        work: folder of the journal. A stopped run resumes from it; the same arguments,
            seed and items make the same dataset (with a language model: from its kept answers).
        writer: who writes; None means the templates.
        allow_outside: also copy media outside the folder of their table.

    Returns the content of ``dataset.json``. Raises `ValueError` for another run's work folder.
    """
    writer = writer or TemplateWriter()
    if per_item < 1:
        raise ValueError(f"per_item must be at least 1, got {per_item}")
    check_new(output)
    if copy_media and not allow_outside:
        check_items(items)
    work = Path(work)
    work.mkdir(parents=True, exist_ok=True)
    keys = [f"{i}-{k}" for i in range(len(items)) for k in range(per_item)]
    made = {"writer": writer.name, "seed": seed, "per_item": per_item}

    def make(key: str) -> dict[str, Any]:
        i, k = map(int, key.split("-"))
        exchange = writer.write(items[i], (seed, i, k))
        return {"request": exchange.request, "before": exchange.before, "after": exchange.after}

    with Journal(work / "exchanges.jsonl", {**made, "items": _identity(items)}) as journal:
        work_through(journal, keys, make, workers=workers, progress=progress)
        finished = [(key, journal[key]) for key in keys]
    records = [
        _record(items[int(key.split("-")[0])], Exchange(**row), key, writer.name)
        for key, row in finished
        if "failed" not in row
    ]
    dropped = Counter("no usable answer" for _, row in finished if "failed" in row)
    release = Release(
        name=name,
        version=version,
        description="Requests in words and replies with media, made of captions "
        "(text-to-multimodal instructions, NExT-GPT section 5.2).",
        made={"tool": "anyweave data t2m", **made},
        dropped=dict(dropped),
    )
    return write_release(records, output, release, copy_media=copy_media)


def _record(item: Item, exchange: Exchange, key: str, writer: str) -> Record:
    origin = Origin(how="given", source=item.source, licence=item.licence)
    about = {"id": f"t2m-{key}", "writer": writer, "modality": item.modality}
    return Record(conversation=exchange.conversation(item), origins=[origin], about=about)


def _identity(items: Sequence[Item]) -> str:
    """A hash that differs when another collection is given."""
    text = json.dumps([[item.modality, item.path.name, item.caption] for item in items])
    return f"{len(items)} items, {zlib.crc32(text.encode()):08x}"
