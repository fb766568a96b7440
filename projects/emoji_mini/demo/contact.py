"""One conversation as one picture: bubbles with words, pictures, frames of clips, spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

from anyweave import media
from anyweave.messages import Video
from emoji_mini.demo.record import Shown, Talk

WIDTH = 1000
_EDGE = 192  # height of a medium
_GAP, _PAD, _RADIUS = 14, 18, 18
_FRAMES = 4  # of a clip
_TEXT_SIZE, _SMALL_SIZE = 22, 16
_WORDS_PER_LINE = 640  # pixels
_PAPER, _USER, _REPLY = (255, 255, 255), (227, 241, 238), (244, 243, 240)
_INK, _FAINT = (28, 29, 27), (95, 96, 90)


def draw_talk(talk: Talk, folder: str | Path) -> PIL.Image.Image:
    """Draw a conversation `WIDTH` pixels wide; its media are read from `folder`."""
    folder = Path(folder)
    bubbles = []
    for exchange in talk.exchanges:
        bubbles.append((_bubble(exchange.user, folder, _USER), True))
        bubbles.append((_bubble(exchange.reply, folder, _REPLY), False))
    height = sum(bubble.height + _GAP for bubble, _ in bubbles) + _GAP
    canvas = PIL.Image.new("RGB", (WIDTH, height), _PAPER)
    y = _GAP
    for bubble, right in bubbles:
        canvas.paste(bubble, (WIDTH - _GAP - bubble.width if right else _GAP, y))
        y += bubble.height + _GAP
    return canvas


def _bubble(parts: Sequence[Shown], folder: Path, colour: tuple[int, int, int]) -> PIL.Image.Image:
    """Parts in order; consecutive media stand side by side."""
    rows: list[list[PIL.Image.Image]] = []
    said = " ".join(part.text for part in parts)
    for part in parts:
        if part.modality == "text":
            if part.text.strip():
                rows.append([_words(part.text.strip(), _TEXT_SIZE, _INK, colour)])
            continue
        block = _medium(part, folder, colour, said)
        if rows and rows[-1][0].height > _EDGE and _row_width(rows[-1]) + block.width < WIDTH - 80:
            rows[-1].append(block)
        else:
            rows.append([block])
    if not rows:
        rows.append([_words("(no words)", _TEXT_SIZE, _FAINT, colour)])
    width = max(_row_width(row) for row in rows) + 2 * _PAD
    height = sum(max(b.height for b in row) for row in rows) + (len(rows) - 1) * 10 + 2 * _PAD
    bubble = PIL.Image.new("RGB", (width, height), _PAPER)
    ImageDraw.Draw(bubble).rounded_rectangle((0, 0, width - 1, height - 1), _RADIUS, fill=colour)
    y = _PAD
    for row in rows:
        x = _PAD
        for block in row:
            bubble.paste(block, (x, y))
            x += block.width + 10
        y += max(block.height for block in row) + 10
    return bubble


def _row_width(row: Sequence[PIL.Image.Image]) -> int:
    return sum(block.width for block in row) + 10 * (len(row) - 1)


def _medium(part: Shown, folder: Path, colour: tuple[int, int, int], said: str) -> PIL.Image.Image:
    if part.modality == "video":
        frames = media.load(Video(folder / part.path))
        chosen = frames[np.linspace(0, len(frames) - 1, _FRAMES).round().astype(int)]
        pictures = [_scaled(PIL.Image.fromarray(frame)) for frame in chosen]
    else:
        with PIL.Image.open(folder / (part.poster or part.path)) as opened:
            pictures = [_scaled(opened.convert("RGB"))]
    width = sum(picture.width + 4 for picture in pictures) - 4
    kind = {"image": "picture", "video": "clip", "audio": "sound"}[part.modality]
    told = "" if part.caption in said else f": {part.caption}"  # nothing is said twice
    words = _words(kind + told, _SMALL_SIZE, _FAINT, colour)
    block = PIL.Image.new("RGB", (max(width, words.width), _EDGE + 6 + words.height), colour)
    x = 0
    for picture in pictures:
        shape = PIL.Image.new("L", picture.size)
        ImageDraw.Draw(shape).rounded_rectangle((0, 0, *picture.size), _RADIUS, fill=255)
        block.paste(picture, (x, 0), shape)
        x += picture.width + 4
    block.paste(words, (0, _EDGE + 6))
    return block


def _scaled(picture: PIL.Image.Image) -> PIL.Image.Image:
    width = round(picture.width * _EDGE / picture.height)
    return picture.resize((width, _EDGE), PIL.Image.Resampling.BICUBIC)


def _words(
    text: str, size: int, ink: tuple[int, int, int], paper: tuple[int, int, int]
) -> PIL.Image.Image:
    font = ImageFont.load_default(size=size)
    lines = _wrapped(text, font)
    width = max(1, max(round(font.getlength(line)) for line in lines))
    picture = PIL.Image.new("RGB", (width + 2, round(1.35 * size * len(lines))), paper)
    ImageDraw.Draw(picture).multiline_text((0, 0), "\n".join(lines), ink, font, spacing=0.3 * size)
    return picture


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > _WORDS_PER_LINE:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
