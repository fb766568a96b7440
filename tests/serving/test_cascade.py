"""A cascade behind the server: the same wire as every model."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anyweave import media
from anyweave.model.spec import EncoderSpec
from anyweave.testing.encoders import write_tiny_captioner
from anyweave.testing.model import tiny_model


def test_a_cascade_reads_and_answers_over_the_wire(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    folder = str(write_tiny_captioner(tmp_path / "captioner"))
    model = tiny_model(
        encoders=(EncoderSpec(type="captioner", source=folder, modalities=("image", "video")),),
        bridge="caption", calls="words", lora=None, output_projectors={},
    )  # fmt: skip
    picture = media.encode("image", np.full((8, 8, 3), 90, np.uint8), format="png")
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    shown = {"type": "image_url", "image_url": {"url": url}}
    body: dict[str, Any] = {"force": ["audio"], "seed": 1, "max_tokens": 4}
    with serve(model=model) as served, served.http() as http:
        talk: list[Any] = [{"role": "user", "content": [shown, {"type": "text", "text": "hear?"}]}]
        first = http.post("/v1/chat/completions", json={**body, "messages": talk}).json()
        (told,) = first["usage"]["described"]
        assert (told["modality"], told["words"].split(", ")[0] in ("cat", "dog", "cow")) == (
            "image", True,
        )  # fmt: skip
        message = first["choices"][0]["message"]
        assert message["audio"]["transcript"]
        (signal,) = first["anyweave"]["signals"]
        assert signal["modality"] == "audio"
        assert signal["tokens"] == ["[AUD0]", "[AUD1]", "[AUD2]"]
        parts = {part["part"]: part["active"] for part in first["anyweave"]["parts"]}
        assert parts["encoder:image"] and parts["decoder:audio"]
        talk += [{"role": "assistant", "content": message["content"] or ""}]
        talk += [{"role": "user", "content": "and now?"}]
        again = http.post("/v1/chat/completions", json={**body, "messages": talk}).json()
        assert again["usage"]["described"] == []
        assert again["anyweave"]["continued_turns"] == 2
