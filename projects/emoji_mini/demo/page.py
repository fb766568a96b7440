"""The demonstration as one HTML file with style and media inside; nothing is fetched."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable
from html import escape
from pathlib import Path

from anyweave.files import write_text
from emoji_mini.demo.record import Exchange, Record, Shown, Talk

# The colours of the chat page: paper, ink and one accent.
_STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#fbfaf8, #141514);
  --raised: light-dark(#fff, #1d1f1d); --line: light-dark(#e4e1da, #2e312e);
  --ink: light-dark(#1c1d1b, #eceae4); --soft: light-dark(#5f605a, #a5a69e);
  --accent: light-dark(#0d7466, #5fd4bd); --tint: light-dark(#e3f1ee, #18342f); }
* { box-sizing: border-box; margin: 0; }
body { padding: clamp(2.5rem, 8vw, 6rem) 1.25rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main, header, footer { max-width: 44rem; margin: 0 auto; }
h1 { font-size: clamp(2rem, 1.3rem + 3vw, 3.1rem); line-height: 1.1; letter-spacing: -.025em; }
h1 em { font-style: normal; white-space: nowrap; color: var(--accent); }
.lead { margin-top: 1rem; color: var(--soft); font-size: 1.125rem; max-width: 36rem; }
.made { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.7rem, 1fr));
  gap: .75rem; margin-top: 2.25rem; }
.made img { display: block; width: 100%; border-radius: 14px; transition: translate .2s;
  box-shadow: 0 0 0 1px var(--line); }
.made a:hover img { translate: 0 -4px; }
.made a:focus-visible { outline: 2.5px solid var(--accent); outline-offset: 3px;
  border-radius: 14px; }
section { margin-top: clamp(4rem, 10vw, 6.5rem); scroll-margin-top: 2rem; }
h2 { font-size: 1.5rem; line-height: 1.2; letter-spacing: -.015em; }
h2 + p, .cost, figcaption, footer { color: var(--soft); font-size: .8125rem; }
.turn { margin-top: 2.5rem; }
.user { width: fit-content; max-width: 85%; margin-left: auto; padding: .7rem 1.1rem;
  border-radius: 20px 20px 6px 20px; background: var(--tint); }
.reply { margin-top: 1.25rem; font-size: 1.0625rem; }
.said { display: flex; flex-wrap: wrap; gap: 1.25rem 2rem; overflow-wrap: anywhere; }
.said p { white-space: pre-wrap; }
.user .said { flex-direction: column; gap: .6rem; }
figure { width: fit-content; max-width: 100%; margin-top: .7rem; }
.user figure { margin: .3rem 0 0; }
figure img, figure video { display: block; width: 14rem; max-width: 100%; border-radius: 16px;
  box-shadow: 0 0 0 1px var(--line); }
figure video { width: 12rem; }
figure.audio { padding: .6rem; border: 1px solid var(--line); border-radius: 16px;
  background: var(--raised); }
figure.audio img { width: 18rem; height: 6rem; border-radius: 10px; box-shadow: none; }
audio { display: block; width: 18rem; max-width: 100%; height: 2.25rem; margin-top: .5rem; }
figcaption { margin-top: .4rem; max-width: 18rem; line-height: 1.4; }
.cost { margin-top: .6rem; font-variant-numeric: tabular-nums; }
footer { margin-top: 6rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
"""


def write_page(record: Record, folder: str | Path) -> Path:
    """Write ``index.html`` into the folder that holds the record's media; returns its path."""
    folder = Path(folder)
    name = escape(Path(record.model).name)
    replies = sum(len(talk.exchanges) for talk in record.talks)
    facts = (
        f"{replies} replies in {record.total_seconds:.0f} s on {_threads(record.threads)}, after "
        f"{record.load_seconds:.0f} s of loading; seed {record.seed}."
    )
    page = "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>A conversation with {name}</title>",
            f"<style>{_STYLE}</style></head><body><header>",
            f"<h1>A conversation with <em>{name}</em></h1>",
            '<p class="lead">Words, pictures, sounds and clips, in and out. The questions are a '
            "script; the answers are the model’s own, the likeliest word each time.</p>",
            f'<div class="made">{_made(record, folder)}</div></header><main>',
            *(_talk(talk, number, folder) for number, talk in enumerate(record.talks, 1)),
            f"</main><footer>{escape(facts)}</footer></body></html>\n",
        )
    )
    path = folder / "index.html"
    write_text(path, page)
    return path


def _threads(count: int) -> str:
    return f"{count} CPU thread{'s' if count != 1 else ''}"


def _made(record: Record, folder: Path) -> str:
    """The pictures the model made, each linked to its conversation."""
    return "".join(
        f'<a href="#talk-{number}"><img src="{_data(folder, part.path)}" '
        f'alt="{escape(part.caption)}" title="{escape(part.caption)}"></a>'
        for number, talk in enumerate(record.talks, 1)
        for exchange in talk.exchanges
        for part in exchange.reply
        if part.modality == "image"
    )


def _talk(talk: Talk, number: int, folder: Path) -> str:
    turns = "\n".join(_exchange(exchange, folder) for exchange in talk.exchanges)
    like = f"<p>In the manner of the paper’s figures {escape(talk.figures)}</p>"
    heading = f"<h2>{escape(talk.title)}</h2>{like if talk.figures else ''}"
    return f'<section id="talk-{number}">{heading}\n{turns}\n</section>'


def _exchange(exchange: Exchange, folder: Path) -> str:
    costs = ", ".join(f"{name} {value:.1f} s" for name, value in exchange.seconds.items())
    cut = "; cut off at the token limit" if exchange.finish_reason == "length" else ""
    return (
        '<div class="turn">'
        f'<div class="user">{_parts(exchange.user, folder)}</div>'
        f'<div class="reply">{_parts(exchange.reply, folder)}</div>'
        f'<div class="cost">{exchange.total_seconds:.1f} s ({escape(costs + cut)})</div></div>'
    )


def _parts(parts: Iterable[Shown], folder: Path) -> str:
    """The parts in order. Words stay with the medium that follows them; such pairs stand side by
    side.
    """
    parts = tuple(parts)
    said = " ".join(part.text for part in parts)
    cells: list[str] = []
    open_words = False
    for part in parts:
        if part.modality == "text" and not part.text.strip():
            continue
        if open_words and part.modality != "text" and cells:
            cells[-1] += _part(part, folder, said)
        else:
            cells.append(_part(part, folder, said))
        open_words = part.modality == "text"
    shown = "".join(f"<div>{cell}</div>" for cell in cells)
    return f'<div class="said">{shown or "<p><em>(no words)</em></p>"}</div>'


def _part(part: Shown, folder: Path, said: str) -> str:
    if part.modality == "text":
        return f"<p>{escape(part.text.strip())}</p>"
    source, poster = _data(folder, part.path), _data(folder, part.poster)
    told = part.caption or part.truth or part.modality
    if part.modality == "image":
        body = f'<img src="{source}" alt="{escape(told)}">'
    elif part.modality == "video":
        how = "controls loop autoplay muted playsinline"
        body = f'<video src="{source}" poster="{poster}" {how}></video>'
    else:
        body = (
            f'<img src="{poster}" alt="spectrogram: {escape(told)}">'
            f'<audio src="{source}" controls preload="metadata"></audio>'
        )
    if part.truth:
        told = f"{part.truth} (the model is not told)"
    below = "" if told in said else f"<figcaption>{escape(told)}</figcaption>"
    return f'<figure class="{part.modality}">{body}{below}</figure>'


def _data(folder: Path, name: str) -> str:
    """A file as a data URI."""
    if not name:
        return ""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = base64.b64encode((folder / name).read_bytes()).decode("ascii")
    return f"data:{kind};base64,{content}"
