"""The demonstration as one HTML file: style and media inside, nothing is fetched."""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Iterable
from html import escape
from pathlib import Path

from anyweave.files import write_text
from emoji_mini.demo.record import Exchange, Record, Shown, Talk

_STYLE = """
:root { color-scheme: light dark; --paper: #f6f6f9; --card: #fff; --ink: #1d1d25; --faint: #6c6c7a;
  --user: #d9e8ff; --reply: #ececf1; --line: #e1e1e8; }
@media (prefers-color-scheme: dark) { :root { --paper: #16161b; --card: #1e1e25; --ink: #ececf2;
  --faint: #9a9aa8; --user: #24406b; --reply: #2c2c36; --line: #34343f; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 46rem; margin: 0 auto; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.05rem; margin: 0; }
p.about, h2 + p, figcaption, .cost { color: var(--faint); font-size: .85rem; }
p.about { margin: 0 0 1.5rem; }
h2 + p { margin: 0 0 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 18px;
  padding: 1.25rem; margin-bottom: 1.5rem; }
.turn { display: flex; flex-direction: column; gap: .5rem; margin-bottom: 1rem; }
.bubble { max-width: 88%; padding: .7rem .95rem; border-radius: 18px; overflow-wrap: anywhere; }
.bubble p { margin: 0; white-space: pre-wrap; }
.bubble figure + p { margin-top: .6rem; }
.user { align-self: flex-end; background: var(--user); border-bottom-right-radius: 5px; }
.reply { align-self: flex-start; background: var(--reply); border-bottom-left-radius: 5px; }
figure { display: inline-block; vertical-align: top; margin: .5rem .6rem .2rem 0; width: 256px;
  max-width: 100%; }
figure img, figure video { display: block; width: 100%; border-radius: 12px; }
figure.audio img { height: 128px; border-radius: 12px 12px 0 0; }
audio { display: block; width: 100%; height: 40px; margin-top: 4px; }
figcaption { margin-top: .3rem; line-height: 1.35; }
.cost { padding-left: .5rem; font-variant-numeric: tabular-nums; }
"""


def write_page(record: Record, folder: str | Path) -> Path:
    """Write ``index.html`` into the folder that holds the record's media; returns its path."""
    folder = Path(folder)
    replies = sum(len(talk.exchanges) for talk in record.talks)
    facts = (
        f"{replies} replies in {record.total_seconds:.0f} s on {_threads(record.threads)}, after "
        f"{record.load_seconds:.0f} s of loading; seed {record.seed}. The questions are a script, "
        "the answers are the model's own, the likeliest word each time."
    )
    page = "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>A conversation with {escape(record.model)}</title>",
            f"<style>{_STYLE}</style></head><body><main>",
            f"<h1>A conversation with {escape(Path(record.model).name)}</h1>",
            f'<p class="about">{escape(facts)}</p>',
            *(_talk(talk, folder) for talk in record.talks),
            "</main></body></html>\n",
        )
    )
    path = folder / "index.html"
    write_text(path, page)
    return path


def _threads(count: int) -> str:
    return f"{count} CPU thread{'s' if count != 1 else ''}"


def _talk(talk: Talk, folder: Path) -> str:
    turns = "\n".join(_exchange(exchange, folder) for exchange in talk.exchanges)
    like = f"in the manner of the paper's figures {escape(talk.figures)}" if talk.figures else ""
    return f"<section><h2>{escape(talk.title)}</h2><p>{like}</p>\n{turns}\n</section>"


def _exchange(exchange: Exchange, folder: Path) -> str:
    costs = ", ".join(f"{name} {value:.1f} s" for name, value in exchange.seconds.items())
    cut = "; cut off at the token limit" if exchange.finish_reason == "length" else ""
    return (
        '<div class="turn">'
        f'<div class="bubble user">{_parts(exchange.user, folder)}</div>'
        f'<div class="bubble reply">{_parts(exchange.reply, folder)}</div>'
        f'<div class="cost">{exchange.total_seconds:.1f} s ({escape(costs + cut)})</div></div>'
    )


def _parts(parts: Iterable[Shown], folder: Path) -> str:
    shown = [_part(part, folder) for part in parts]
    return "\n".join(shown) or "<p><em>(no words)</em></p>"


def _part(part: Shown, folder: Path) -> str:
    if part.modality == "text":
        return f"<p>{escape(part.text.strip())}</p>" if part.text.strip() else ""
    source, poster = _data(folder, part.path), _data(folder, part.poster)
    told = part.caption or (f"given; it shows: {part.truth}" if part.truth else part.modality)
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
    return f'<figure class="{part.modality}">{body}<figcaption>{escape(told)}</figcaption></figure>'


def _data(folder: Path, name: str) -> str:
    """A file as a data URI."""
    if not name:
        return ""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = base64.b64encode((folder / name).read_bytes()).decode("ascii")
    return f"data:{kind};base64,{content}"
