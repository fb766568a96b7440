"""Media beside pictures, clips and sounds over the wire: in, out, as files, and back again."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave.generation.events import Done, MediaDone
from anyweave.generation.remote import RemoteSession
from anyweave.messages import MEDIA_TYPES, Message
from anyweave.model import EncoderSpec
from anyweave.model.extending import with_modality
from anyweave.testing.encoders import tiny_imagebind
from anyweave.testing.model import tiny_model

from .conftest import Served, serving

CSV = "name,legs\ncat,4\n"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model that sees depth, and says and reads tables."""
    folder = tmp_path_factory.mktemp("other")
    tiny_imagebind(towers=("depth",)).save_pretrained(folder / "depth")
    encoder = EncoderSpec(type="imagebind", source=str(folder / "depth"), modalities=("depth",))
    model = with_modality(with_modality(tiny_model(), "table"), "depth", encoder=encoder)
    with serving(model, folder) as served:
        yield served


def data_url(content: bytes) -> str:
    return f"data:;base64,{base64.b64encode(content).decode()}"


def depth_map() -> bytes:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).uniform(1, 5, (20, 30)).astype(np.float32))
    return file.getvalue()


def test_a_model_says_what_it_reads_and_makes(other: Served) -> None:
    with other.http() as http:
        (model,) = http.get("/v1/models").json()["data"]
    assert model["modalities"]["input"] == ["text", "image", "video", "audio", "depth", "table"]
    assert model["modalities"]["output"][-1] == "table"
    assert model["files"] == {"depth": ["npy", "png"], "table": ["csv", "tsv"]}


def test_depth_and_table_in_table_out(other: Served) -> None:
    content: list[dict[str, Any]] = [
        {"type": "depth_url", "depth_url": {"url": data_url(depth_map())}},
        {"type": "depth", "base64": base64.b64encode(depth_map()).decode()},
        {"type": "table_url", "table_url": data_url(CSV.encode())},
        {"type": "text", "text": "so?"},
    ]
    body: dict[str, Any] = {"messages": [{"role": "user", "content": content}], "force": "table"}
    with other.http() as http:
        answer = http.post("/v1/chat/completions", json=body).json()
        message = answer["choices"][0]["message"]
        (part,) = (p for p in message["content_parts"] if p["type"] == "table_url")
        assert (part["media_type"], part["format"]) == ("text/csv", "csv")
        (entry,) = message["media"]
        file = http.get(part["table_url"]["url"])
        assert file.headers["content-type"].startswith("text/csv")
        assert file.headers["content-disposition"].startswith("attachment")
        url = entry["table_url"]["url"]
        assert url == f"data:text/csv;base64,{base64.b64encode(file.content).decode()}"
        # Its parts come back as they are, with the next request.
        body["messages"] += [
            {"role": "assistant", "content_parts": message["content_parts"]},
            {"role": "user", "content": [{"type": "file", "file": {"file_id": part["id"]}}]},
        ]
        assert http.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "depht_url", "depht_url": "x"}, "unknown modality 'depht'; did you mean 'depth'"),
        ({"type": "depth_url", "depth": "x"}, "has no field 'depth'"),
        ({"type": "depth_url"}, "this depth has no data"),
        ({"type": "table_url", "table_url": data_url(b"a,b\n1")}, "row 2 has 1 cells"),
        ({"type": "depth", "base64": base64.b64encode(b"x").decode()}, "neither a PNG nor"),
    ],
)
def test_mistakes(other: Served, part: dict[str, Any], said: str) -> None:
    with other.http() as http:
        messages = [{"role": "user", "content": [part]}]
        answer = http.post("/v1/chat/completions", json={"messages": messages})
        assert answer.status_code == 400 and said in answer.json()["error"]["message"]
        forced = http.post(
            "/v1/chat/completions",
            json={"messages": [{"role": "user", "content": "x"}], "force": ["tabel"]},
        )
        assert "did you mean 'table'" in forced.json()["error"]["message"]


def test_a_chat_in_the_terminal(other: Served, tmp_path: Path) -> None:
    session = RemoteSession(other.url)
    assert session.generates == ("image", "video", "audio", "table")
    asked = Message("user", [MEDIA_TYPES["table"](CSV.encode()), "more"])
    events = list(session.send(asked, force=("table",)))
    made = next(event.part for event in events if isinstance(event, MediaDone))
    assert made.modality == "table" and isinstance(events[-1], Done)
