"""A server under load: many clients at once, every request accounted for.

python benchmarks/serving.py --requests 1000 --clients 64 --out docs/serving.md

Starts `anyweave serve` (or asks the server of --url), and lets each client send its share of short
questions, one after the other, every second one streamed. A client that is told to come again (429,
503) does so after the time that the answer names. A request is lost if it never gets its whole
reply. At the end the server's own counts must agree.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2

BEGIN, END = "<!-- table: serving -->", "<!-- end of serving -->"
THINGS = ("dog", "cat", "house", "tree", "horse", "boat", "train", "bell")
CHAT = "/v1/chat/completions"


@dataclass
class Tally:
    """What came of the requests."""

    seconds: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)  # until the first words of a stream
    tokens: int = 0
    put_off: int = 0
    lost: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="emoji-mini")
    parser.add_argument("--url", default=None, help="a server that runs; default: start one")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--patience", type=float, default=600, help="seconds for one request")
    parser.add_argument("--limit", action="append", default=[], help="as of `anyweave serve`")
    parser.add_argument("--note", default="", help="about the machine, written below the table")
    parser.add_argument("--out", type=Path, default=None, help="a page to put the table in")
    given = parser.parse_args()
    if given.url is not None:
        table, lost = asyncio.run(load(given.url, given))
    else:
        with server(given.model, given.limit) as url:
            table, lost = asyncio.run(load(url, given))
    print(table)
    if given.out is not None:
        page = given.out.read_text(encoding="utf-8")
        before, rest = page.split(BEGIN)
        text = f"{before}{BEGIN}\n{table}{END}{rest.split(END)[1]}"
        given.out.write_text(text, encoding="utf-8")
    if lost:
        raise SystemExit(1)


@contextmanager
def server(model: str, limits: list[str]) -> Iterator[str]:
    """`anyweave serve` in a process of its own; its address."""
    command = [sys.executable, "-m", "anyweave", "serve", "--model", model, "--port", "0"]
    for limit in limits:
        command += ["--limit", limit]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--folder", folder],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200"},
        )
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if found := re.search(r"answers at (http://\S+)", line):
                    yield found[1]
                    return
            raise SystemExit("the server did not start")
        finally:
            process.terminate()
            process.wait(60)


async def load(url: str, given: argparse.Namespace) -> tuple[str, int]:
    """Send it all; the table, and how many requests were lost."""
    tally, numbers = Tally(), count()
    limits = httpx2.Limits(max_connections=given.clients)
    async with httpx2.AsyncClient(base_url=url, timeout=given.patience, limits=limits) as client:
        await ask(client, -1, Tally(), given)  # the first reply loads what is read when it is used
        before = await served(client)
        begun = time.perf_counter()

        async def one_client() -> None:
            while (number := next(numbers)) < given.requests:
                await ask(client, number, tally, given)

        await asyncio.gather(*(one_client() for _ in range(given.clients)))
        wall = time.perf_counter() - begun
        answered = await served(client) - before
    if answered != len(tally.seconds):
        tally.lost.append(f"the server counts {answered} replies, the clients {len(tally.seconds)}")
    for reason in tally.lost[:5]:
        print(reason, file=sys.stderr)
    return report(tally, wall, given), len(tally.lost)


async def ask(
    client: httpx2.AsyncClient, number: int, tally: Tally, given: argparse.Namespace
) -> None:
    """One question up to its whole reply, however often it is put off."""
    text = f"Tell me about a {THINGS[number % 8]} and {number + 2} friends."
    body = {
        "messages": [{"role": "user", "content": text}],
        "modalities": ["text"],
        "max_tokens": given.max_tokens,
        "temperature": 0,
        "stream": number % 2 == 1,
        "stream_options": {"include_usage": True} if number % 2 == 1 else None,
    }
    begun = time.perf_counter()
    try:
        while time.perf_counter() - begun < given.patience:
            async with client.stream("POST", CHAT, json=body) as answer:
                if answer.status_code in (429, 503):
                    await answer.aread()
                    tally.put_off += 1
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                    continue
                tokens = await read(answer, begun, tally)
            tally.tokens += tokens
            tally.seconds.append(time.perf_counter() - begun)
            return
        tally.lost.append(f"request {number}: put off for {given.patience:g} s")
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        tally.lost.append(f"request {number}: {type(error).__name__}: {error}")


async def read(answer: httpx2.Response, begun: float, tally: Tally) -> int:
    """Tokens of a whole reply. Raises `ValueError` for anything less."""
    if answer.status_code != 200:
        raise ValueError(f"status {answer.status_code}: {(await answer.aread())[:300]!r}")
    if not answer.headers["content-type"].startswith("text/event-stream"):
        reply = json.loads(await answer.aread())
        return int(reply["usage"]["completion_tokens"])
    tokens, last = None, ""
    async for line in answer.aiter_lines():
        if not line:
            continue
        last = line
        if line.startswith("data: {"):
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise ValueError(str(chunk["error"]))
            if chunk["usage"]:
                tokens = int(chunk["usage"]["completion_tokens"])
            elif chunk["choices"][0]["delta"].get("content") and tokens is None:
                tally.first.append(time.perf_counter() - begun)
                tokens = 0
    if last != "data: [DONE]" or not tokens:
        raise ValueError("the stream broke off")
    return tokens


async def served(client: httpx2.AsyncClient) -> int:
    """Chat completions that the server has answered, by its own figures."""
    text = (await client.get("/metrics")).text
    found = re.search(rf'anyweave_requests_total{{route="{CHAT}",status="200"}} (\S+)', text)
    return int(float(found[1])) if found else 0


def report(tally: Tally, wall: float, given: argparse.Namespace) -> str:
    rows = {
        "requests": f"{given.requests:,} under {given.clients} clients, every second one streamed",
        "lost": str(len(tally.lost)),
        "told to come again, and answered then": str(tally.put_off),
        "requests/s": f"{len(tally.seconds) / wall:.1f}",
        "tokens/s": f"{tally.tokens / wall:.0f}",
        "seconds of a request, median / 95 % / longest": _spread(tally.seconds),
        "seconds to the first words of a stream": _spread(tally.first),
    }
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    about = (
        f"`{given.model}`, replies of at most {given.max_tokens} tokens, {platform.machine()}, "
        f"{os.cpu_count()} cores, shared by the server and the clients. {given.note}"
    ).rstrip()
    return "\n".join([*lines, "", about]) + "\n"


def _spread(values: list[float]) -> str:
    ordered = sorted(values) or [0.0]
    picked = (ordered[int(len(ordered) * share)] for share in (0.5, 0.95))
    return " / ".join(f"{value:.2f}" for value in (*picked, ordered[-1]))


if __name__ == "__main__":
    main()
