"""Messages and media as HTML: whole media inside the page, foreign text never as markup."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pytest

from anyweave import media
from anyweave.media.showing import array_and_rate, show
from anyweave.messages import PAPER_MODALITIES, Audio, Image, Message, Modality
from anyweave.testing.conversations import tiny_media

EVIL = '<script>alert("1")</script>" onload="x'


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_a_medium_stands_whole_in_the_page(modality: Modality) -> None:
    html = show(tiny_media(modality, 1, EVIL))._repr_html_()
    kind, data = re.findall(r'src="data:([a-z0-9/]+);base64,([^"]+)"', html)[0]
    assert kind.split("/")[0] == modality
    again = type(tiny_media(modality, 1))(base64.b64decode(data))
    assert media.load(again).shape == media.load(tiny_media(modality, 1)).shape
    assert "<script" not in html and 'onload="' not in html
    assert "&lt;script&gt;" in html


def test_text_is_escaped_and_order_kept() -> None:
    messages = [Message("user", ["a", Image(caption="<b>c</b>"), EVIL]), Message("assistant", "d")]
    html = show(messages).html
    assert "<script" not in html and "<b>c" not in html
    assert html.index(">a<") < html.index("[image: &lt;b&gt;c") < html.index("&lt;script")
    assert "<b>user</b>" in html and "<b>assistant</b>" in html
    assert show(messages[1]).html == '<div><span style="white-space: pre-wrap">d</span></div>'


def test_arrays_keep_their_rate_and_files_are_read(tmp_path: Path) -> None:
    wave = np.zeros(800, np.float32)
    array, rate = array_and_rate(Audio(wave, rate=8000))
    assert array is wave and rate == 8000
    path = media.save("audio", wave, tmp_path / "a.wav", rate=8000)
    array, rate = array_and_rate(Audio(path))
    assert rate == 48_000 and len(array) == 4800
    with pytest.raises(media.MediaError, match="no such file"):
        show(Image(tmp_path / "none.png"))
