"""How much faster many conversations are answered together than one after the other.

python benchmarks/batching.py --clients 1 4 16 64 --repeats 3 --threads 2 --out docs/speed.md

Text alone, greedily. In every repeat some of the requests are first answered one at a time by
`ChatSession`; then all clients ask a `ReplyBatcher` at once, each from a thread of its own. A
figure is the tokens per second of the second by those of the first, in processor time (of all
threads) and by the clock, as median and range over the repeats: a busy machine disturbs both
alike. The last row is a conversation's turn 20 beside its turn 1, with as many new tokens.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import torch

from anyweave.generation import ChatSession, Done, GenerationOptions, ReplyBatcher
from anyweave.model import NextGPT

BEGIN, END = "<!-- table: batching -->", "<!-- end of batching -->"
ALONE = 4  # requests answered one at a time in each repeat
TURNS = 20
THINGS = ("dog", "cat", "house", "tree", "horse", "boat", "train", "bell")
OPTIONS = GenerationOptions(temperature=0.0, seed=0, max_new_tokens=32, modalities=("text",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--rows", type=int, default=16, help="conversations in one forward")
    parser.add_argument("--threads", type=int, default=None, help="default: PyTorch's choice")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--note", default="", help="about the machine, written below the table")
    parser.add_argument("--out", type=Path, default=None, help="a page to put the table in")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    model = NextGPT.from_pretrained(given.model)
    lines = [
        "| clients | processor time, times the tokens | by the clock, times the tokens |",
        "|---|---|---|",
    ]
    with ReplyBatcher(model, max_rows=given.rows) as batcher:
        for clients in given.clients:
            cells = together(model, batcher, clients, given.repeats)
            lines.append(f"| {clients} | {' | '.join(cells)} |")
    later = " | ".join(last_by_first(model, given.repeats))
    lines += [
        "",
        "| conversation | processor time, times as long | by the clock, times as long |",
        "|---|---|---|",
        f"| turn {TURNS} beside turn 1 | {later} |",
        "",
        f"`{given.model}`, {platform.machine()}, {torch.get_num_threads()} threads, at most "
        f"{given.rows} conversations in one forward, median [least, most] of {given.repeats} "
        f"interleaved repeats; torch {torch.__version__}. {given.note}".rstrip(),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if given.out is not None:
        page = given.out.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        text = f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}"
        given.out.write_text(text, encoding="utf-8")


def together(model: NextGPT, batcher: ReplyBatcher, clients: int, repeats: int) -> tuple[str, str]:
    """Tokens per second of `clients` at once by those of one at a time."""
    requests = [f"Tell me about a {THINGS[n % 8]} and {n + 2} friends." for n in range(clients)]

    def one_at_a_time() -> int:
        return sum(ask(ChatSession(model, OPTIONS), text) for text in requests[:ALONE])

    def at_once() -> int:
        with ThreadPoolExecutor(clients) as pool:
            return sum(pool.map(lambda text: ask(batcher.chat(OPTIONS), text), requests))

    return ratios(at_once, one_at_a_time, repeats)


def last_by_first(model: NextGPT, repeats: int) -> tuple[str, str]:
    """Seconds per token of a conversation's last turn by those of its first."""
    options = OPTIONS.with_overrides(max_new_tokens=16)
    # The word that differs comes first: nothing of a turn is known from the one before.
    turns = (f"{THINGS[n % 8].title()}: tell me about it in a few words." for n in count())
    spoken = ChatSession(model, options)
    for _ in range(TURNS - 1):
        ask(spoken, next(turns))

    def last() -> int:
        history = list(spoken.messages)
        tokens = ask(spoken, next(turns))
        spoken.messages = history  # the next repeat is turn 20 again
        return tokens

    return ratios(lambda: ask(ChatSession(model, options), next(turns)), last, repeats)


def ask(session: ChatSession, text: str) -> int:
    """The number of tokens of the reply."""
    *_, done = session.send(text)
    assert isinstance(done, Done)
    return done.usage.completion_tokens


def ratios(one: Callable[[], int], other: Callable[[], int], repeats: int) -> tuple[str, str]:
    """Tokens per second of `one` by those of `other`, after one warm-up of each: in processor time
    and by the clock.
    """
    one()
    other()
    found: list[Sequence[float]] = []
    for _ in range(repeats):
        slow, fast = _rates(other), _rates(one)
        found.append([a / b for a, b in zip(fast, slow, strict=True)])
    processor, wall = zip(*found, strict=True)
    return _range(processor), _range(wall)


def _rates(work: Callable[[], int]) -> tuple[float, float]:
    processor, wall = time.process_time(), time.perf_counter()
    tokens = work()
    return tokens / (time.process_time() - processor), tokens / (time.perf_counter() - wall)


def _range(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


if __name__ == "__main__":
    main()
