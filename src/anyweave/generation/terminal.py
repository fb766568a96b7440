"""A conversation in the terminal, testable without one: input and output are injected."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from anyweave.generation.events import (
    Done,
    Edited,
    Event,
    MediaDone,
    MediaStarted,
    Progress,
    Retrieved,
    TextDelta,
)
from anyweave.generation.writing import write_message
from anyweave.media.sniffing import sniff
from anyweave.messages import (
    MEDIA_TYPES,
    Media,
    Message,
    Modality,
    Part,
    Text,
)

HELP = """\
Write anything. Name media by path: @dog.png what is this?   @"my sounds/bell.wav"
  /force image|video|audio   the next reply must hold this (several: /force image audio)
  /reset                     forget the conversation
  /help                      this text
  /quit                      leave (or Ctrl-D); Ctrl-C stops a reply"""

# An @ inside a word, as in an email address, does not name a file.
_MEDIUM = re.compile(r"""(?<!\S)@(?:"(?P<double>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>\S+))""")
_AFTER_A_WORD = ".,;:!?)"


class Session(Protocol):
    """A conversation with a model, local (`ChatSession`) or on a server (`RemoteSession`)."""

    @property
    def generates(self) -> tuple[Modality, ...]: ...

    def send(
        self, message: Message, *, force: tuple[Modality, ...]
    ) -> Generator[Event, None, None]: ...


class Say(Protocol):
    """Prints plain text, like `print`."""

    def __call__(self, text: str, *, end: str = "\n") -> None: ...


def _no_status(text: str | None) -> None:
    """Show no status line."""


def _show_nothing(part: Media) -> None:
    """Name media without showing them."""


@dataclass
class _Chat:
    session: Session
    turn: int
    force: tuple[Modality, ...] = field(default=())


def converse(
    make_session: Callable[[], Session],
    output: str | Path,
    *,
    ask: Callable[[], str],
    say: Say,
    status: Callable[[str | None], None] = _no_status,
    show: Callable[[Media], None] = _show_nothing,
) -> None:
    """Talk until `ask` raises `EOFError` or the user says ``/quit``.

    `make_session` begins a conversation, `ask` reads a line, `say` prints. `status` shows a
    temporary line (a decoder's progress) and removes it when given None. Replies' media are saved
    below `output` as ``turn-N-K``, named and passed to `show`; files of earlier chats stay. User
    errors are printed and the chat continues; `KeyboardInterrupt` during a reply stops it, and the
    turn is forgotten.
    """
    output = Path(output)
    chat = _Chat(make_session(), _first_free_turn(output))
    while True:
        try:
            line = ask().strip()
        except EOFError:
            say("")
            return
        except KeyboardInterrupt:
            say("\n(Ctrl-D or /quit leaves)")
            continue
        if line == "/quit":
            return
        try:
            line = _obey(line, chat, make_session, say)
            if line:
                _take_turn(Message("user", parse_line(line)), chat, output, say, status, show)
        except ValueError as error:
            say(f"error: {error}")
        except KeyboardInterrupt:
            say("\n(stopped; this turn is forgotten)")
        finally:
            status(None)


def parse_line(line: str) -> list[Part]:
    """Words and media in the order written; ``@path`` names a medium.

    Quote paths with spaces; ``~`` is the home folder. Raises `MediaError` for a path that is not a
    medium.
    """
    parts: list[Part] = []
    end = 0
    for found in _MEDIUM.finditer(line):
        _add_text(parts, line[end : found.start()])
        path, rest = _path(found)
        parts.append(MEDIA_TYPES[sniff(path)](path))
        end = found.end() - len(rest)
    _add_text(parts, line[end:])
    return parts


def _path(found: re.Match[str]) -> tuple[Path, str]:
    """The path of an @ token, and the rest of the token."""
    quoted = found["double"] or found["single"]
    name = quoted or found["bare"]
    stripped = name.rstrip(_AFTER_A_WORD)
    path = Path(name).expanduser()
    if quoted or path.exists() or not stripped:
        return path, ""
    return Path(stripped).expanduser(), name[len(stripped) :]


def _add_text(parts: list[Part], text: str) -> None:
    if text.strip():
        parts.append(Text(text.strip()))


def _obey(line: str, chat: _Chat, make_session: Callable[[], Session], say: Say) -> str:
    """Carry out a command; returns what is left to send as a message."""
    if not line.startswith("/"):
        return line
    command, *words = line.split()
    if command == "/help":
        say(HELP)
    elif command == "/reset":
        chat.session, chat.force = make_session(), ()
        say("(a fresh conversation)")
    elif command == "/force":
        known = chat.session.generates
        asked = tuple(m for m in known if m in words)
        if not asked or len(asked) < len(set(words)) or not all(m in known for m in asked):
            raise ValueError(f"/force takes {', '.join(known)}, got {' '.join(words) or 'nothing'}")
        chat.force = asked
        say(f"(the next reply will hold: {', '.join(asked)})")
    else:
        raise ValueError(f"there is no command {command}; /help lists them")
    return ""


def _take_turn(
    user: Message,
    chat: _Chat,
    output: Path,
    say: Say,
    status: Callable[[str | None], None],
    show: Callable[[Media], None],
) -> None:
    status("thinking")
    events = chat.session.send(user, force=chat.force)
    with closing(events):  # a generator: stopping it ends the decoder
        for event in events:
            if isinstance(event, Done):
                status(None)
                say("")
                _report(event, chat.turn, output, say, show)
            else:
                _tell(event, say, status)
    chat.turn += 1
    chat.force = ()


def _tell(event: Event, say: Say, status: Callable[[str | None], None]) -> None:
    if isinstance(event, TextDelta):
        status(None)
        say(event.text, end="")
    elif isinstance(event, MediaStarted):
        status(None)
        say(f" [{event.modality} {event.index + 1}] ", end="")
    elif isinstance(event, Progress):
        numbers = ", ".join(str(index + 1) for index in event.indices)
        status(f"{event.modality} {numbers}: step {event.step} of {event.total}")
    elif isinstance(event, MediaDone):
        status(None)
        for how in (event.edited, event.retrieved):
            if how is not None:
                say(f"({event.part.modality} {event.index + 1}: {told(how)})")


def told(edited: Edited | Retrieved) -> str:
    """Describe where a medium comes from."""
    if isinstance(edited, Retrieved):
        whose = f" from {edited.source}" if edited.source else ""
        return (
            f"found in the index, not made{whose}; licence: {edited.licence or 'not told'}; "
            f"score {edited.score:.2f}"
        )
    share = "" if edited.changed is None else f", {edited.changed:.0%} of it open to change"
    how_far = "" if edited.strength is None else f", strength {edited.strength:.2f}"
    return f"made from the earlier one ({edited.caption or 'without a caption'}{share}{how_far})"


def _report(done: Done, turn: int, output: Path, say: Say, show: Callable[[Media], None]) -> None:
    written = write_message(done.message, output, f"turn-{turn}")
    paths = [row["path"] for row in written if row["type"] != "text"]
    for number, (part, path) in enumerate(zip(done.message.media(), paths, strict=True), 1):
        say(f"{part.modality} {number}: {path}")
        if path is not None:
            show(MEDIA_TYPES[part.modality](path))
    usage = done.usage
    for note in usage.shortened:
        say(f"({note})")
    for told in usage.described:
        say(f"(the {told.modality} was read by a captioner: {told.words})")
    if cut := why_cut_off(done):
        say(f"(cut off: {cut})")
    if gone := usage.dropped:
        say(
            f"(the conversation is longer than the language model's {usage.context_length} "
            f"positions: it has forgotten the oldest {gone.exchanges} exchanges, {gone.tokens} "
            f"tokens, {gone.media} media)"
        )


def why_cut_off(done: Done) -> str:
    """Why a reply was cut off; empty if it ended by itself."""
    usage = done.usage
    if done.finish_reason != "length":
        return ""
    taken = usage.prompt_tokens + usage.completion_tokens
    if usage.context_length is not None and taken >= usage.context_length:
        return f"the language model has {usage.context_length} positions, and they are taken"
    return "the reply was as long as --max-new-tokens allows"


def _first_free_turn(output: Path) -> int:
    """One after the last turn that has files in `output`."""
    found = [re.match(r"turn-(\d+)-", path.name) for path in output.glob("turn-*-*")]
    return max((int(match[1]) for match in found if match), default=0) + 1
