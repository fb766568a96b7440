"""Clients that nobody here wrote: curl, LiteLLM, the Vercel AI SDK. The latter two are installed
for the test; $ANYWEAVE_CLIENTS names a folder that keeps them between runs.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anyweave import media

PNG = media.encode("image", np.full((16, 16, 3), 90, np.uint8), format="png")
PICTURE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kept = os.environ.get("ANYWEAVE_CLIENTS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("clients")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(served: Any, tmp_path: Path) -> None:
    json_type = ("-H", "Content-Type: application/json")
    body = {"messages": [{"role": "user", "content": "hi"}], "force": "image", "stream": True}
    (tmp_path / "body.json").write_text(json.dumps(body))
    told = run("curl", "-sN", f"{served.v1}/chat/completions", *json_type,
               "-d", f"@{tmp_path}/body.json").strip().split("\n\n")  # fmt: skip
    assert told[-1] == "data: [DONE]"
    deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in told[:-1]]
    assert any("images" in delta for delta in deltas)
    sound = '{"prompt": "a bell", "response_format": "bytes"}'
    run("curl", "-sf", f"{served.v1}/audio/generate", *json_type, "-d", sound,
        "-o", tmp_path / "bell.wav")  # fmt: skip
    assert (tmp_path / "bell.wav").read_bytes()[:4] == b"RIFF"
    (tmp_path / "a.png").write_bytes(PNG)
    form = ("-F", f"image=@{tmp_path}/a.png", "-F", "prompt=darker", "-F", "strength=0.5")
    edited = run("curl", "-sf", f"{served.v1}/images/edits", *form, "-F", "response_format=url")
    url = json.loads(edited)["data"][0]["url"]
    run("curl", "-sf", url, "-o", tmp_path / "b.png")
    assert (tmp_path / "b.png").read_bytes()[:4] == b"\x89PNG"
    job = json.loads(run("curl", "-sf", f"{served.v1}/videos", "-F", "prompt=waves"))
    assert job["status"] == "queued"


LITELLM = """
import json, sys
import litellm

url, picture = sys.argv[1:]
common = {"model": "openai/tiny", "api_base": url, "api_key": "unused-key", "max_tokens": 8}
content = [{"type": "text", "text": "what is this?"},
           {"type": "image_url", "image_url": {"url": picture}}]
messages = [{"role": "user", "content": content}]
extra = {"extra_body": {"force": ["image", "audio"], "seed": 1}}
reply = litellm.completion(messages=messages, **common, **extra)
message = reply.choices[0].message
parts = list(litellm.completion(messages=messages, stream=True, **common, **extra))
back = [*messages, message.model_dump(exclude_none=True), {"role": "user", "content": "more"}]
again = litellm.completion(messages=back, **common)
print(json.dumps({
    "text": message.content,
    "images": [i["image_url"]["url"][:22] for i in message.images],
    "audio": message.audio.data[:4],
    "tokens": reply.usage.total_tokens,
    "streamed": "".join(p.choices[0].delta.content or "" for p in parts),
    "streamed_images": sum(len(getattr(p.choices[0].delta, "images", None) or []) for p in parts),
    "cached": again.usage.prompt_tokens_details.cached_tokens,
}))
"""


@pytest.mark.slow
def test_litellm(served: Any, clients: Path) -> None:
    place = clients / "litellm"
    if not place.is_dir():
        run(sys.executable, "-m", "pip", "install", "-q", "--target", place, "litellm")
    told = run(sys.executable, "-c", LITELLM, served.v1, PICTURE,
               PYTHONPATH=str(place), LITELLM_LOCAL_MODEL_COST_MAP="True")  # fmt: skip
    found = json.loads(told.strip().splitlines()[-1])
    assert found["images"] == ["data:image/png;base64,"]
    assert found["audio"] == "UklG"
    assert found["streamed"] == found["text"]
    assert found["streamed_images"] == 1
    assert found["tokens"] > 8 and found["cached"] > 0


AI_SDK = """
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { generateText, streamText, experimental_generateImage, generateImage } from 'ai';

const [url, picture] = process.argv.slice(2);
const provider = createOpenAICompatible({ name: 'anyweave', baseURL: url, includeUsage: true });
const model = provider('tiny');
const messages = [{ role: 'user', content: [
  { type: 'text', text: 'what is this?' },
  { type: 'image', image: picture },
]}];
const options = { model, messages, seed: 1, maxOutputTokens: 8,
  providerOptions: { anyweave: { force: ['image'] } } };
const reply = await generateText(options);
let streamed = '';
const stream = streamText(options);
for await (const piece of stream.textStream) streamed += piece;
const draw = generateImage ?? experimental_generateImage;
const { image } = await draw({ model: provider.imageModel('tiny'), prompt: 'a fox' });
let wrong = '';
try {
  await generateText({ model: provider('other'), messages, maxRetries: 0 });
} catch (error) { wrong = error.message; }
console.log(JSON.stringify({
  text: reply.text,
  images: reply.response.body.choices[0].message.images.length,
  finish: reply.finishReason,
  tokens: reply.usage.totalTokens,
  streamed,
  streamedTokens: (await stream.usage).totalTokens,
  drawn: image.base64.slice(0, 8),
  wrong,
}));
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="no node and npm")
def test_the_vercel_ai_sdk(served: Any, clients: Path) -> None:
    place = clients / "ai-sdk"
    if not (place / "node_modules").is_dir():
        place.mkdir(exist_ok=True)
        run("npm", "install", "--prefix", place, "ai", "@ai-sdk/openai-compatible")
    (place / "talk.mjs").write_text(AI_SDK)
    found = json.loads(run("node", place / "talk.mjs", served.v1, PICTURE).strip())
    assert found["images"] == 1
    assert found["streamed"] == found["text"]
    assert found["finish"] in ("stop", "length")
    assert found["tokens"] == found["streamedTokens"] > 8
    assert found["drawn"] == base64.b64encode(b"\x89PNG\r\n").decode()[:8]
    assert "there is 'tiny'" in found["wrong"]


@pytest.mark.slow
def test_one_reply_of_emoji_mini_with_text_picture_sound_and_clip(tmp_path: Path) -> None:
    """The openai client gets all four, in the order in which the model spoke."""
    openai = pytest.importorskip("openai")
    from tests.serving.conftest import serving

    import anyweave

    with serving(anyweave.load("emoji-mini"), tmp_path, name="emoji-mini") as served:
        client = openai.OpenAI(base_url=served.v1, api_key="unused-key", timeout=250)
        reply = client.chat.completions.create(
            model="emoji-mini",
            messages=[{"role": "user", "content": "show me a dog, its sound, and a clip of it"}],
            temperature=0,
            seed=0,
            max_tokens=96,
            extra_body={"force": ["image", "audio", "video"], "num_inference_steps": 6},
        )
    message = reply.choices[0].message
    kinds = [part["type"] for part in message.content_parts]
    assert kinds[0] == "text"
    assert {"image_url", "audio_url", "video_url"} <= set(kinds)
    spoken = [s["part_id"] for s in reply.anyweave["signals"]]
    assert [p["id"] for p in message.content_parts if p["type"] != "text"] == spoken
    assert "dog" in message.content
    assert message.images and message.videos and message.audio.data
