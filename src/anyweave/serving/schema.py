"""The request schema. Nothing is silently ignored, except what is listed as such."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from anyweave.errors import nearest
from anyweave.messages import MEDIA_MODALITIES, PAPER_MODALITIES
from anyweave.modalities import known_modalities


def _known_medium(name: str) -> str:
    if name not in MEDIA_MODALITIES:
        known = known_modalities()
        raise ValueError(f"unknown modality {name[:64]!r}; {nearest(name[:64], known)}")
    return name


Medium = Annotated[
    str,
    AfterValidator(_known_medium),
    Field(json_schema_extra={"examples": [*PAPER_MODALITIES]}),
]
ForceField = Annotated[
    list[Medium] | Medium | None,
    Field(description="Media that the reply must hold, whatever the model would have said."),
]


StopField = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=256)]] | None,
    BeforeValidator(lambda given: [given] if isinstance(given, str) else given),
    Field(max_length=4, description="One to four strings: the text ends before the first of them."),
]


class Strict(BaseModel):
    """A request: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Knobs(Strict):
    """How media are made; what is absent is the decoder's own default."""

    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="Same seed, same reply.")
    height: int | None = Field(None, gt=0)
    width: int | None = Field(None, gt=0)
    num_inference_steps: int | None = Field(None, gt=0)
    guidance_scale: float | None = None
    scheduler: str | None = None
    negative_prompt: str | None = Field(None, max_length=32_000)
    audio_length: float | None = Field(None, gt=0, description="Seconds of sound.")
    num_frames: int | None = Field(None, gt=0)
    fps: float | None = Field(None, ge=0.1, le=240)


class Url(Strict):
    """Where a medium is: ``data:``, a file of this server, or what the server may fetch."""

    url: str
    detail: str | None = Field(None, description="Accepted; every picture is read whole.")


class InlineAudio(Strict):
    """A sound in base64."""

    data: str
    format: str = Field("wav", description="Accepted; the bytes say what they are.")


class FileReference(Strict):
    """A medium that this server made before, by the id of its part."""

    file_id: str


class _Part(Strict):
    # What replies carry besides the medium, so that their parts can be sent back as they are.
    id: str | None = Field(None, description="Of a part of an earlier reply.")
    index: int | None = None
    caption: str | None = None
    expires_at: int | None = None


class TextPart(_Part):
    """Words."""

    type: Literal["text", "input_text"]
    text: str


class ImageUrlPart(_Part):
    """A picture."""

    type: Literal["image_url"]
    image_url: Url | str | None = None


class AudioUrlPart(_Part):
    """A sound."""

    type: Literal["audio_url"]
    audio_url: Url | str | None = None


class VideoUrlPart(_Part):
    """A clip."""

    type: Literal["video_url"]
    video_url: Url | str | None = None


class InputAudioPart(_Part):
    """A sound, as OpenAI's clients send it."""

    type: Literal["input_audio"]
    input_audio: InlineAudio


class FilePart(_Part):
    """A medium of an earlier reply, as OpenAI's clients refer to files."""

    type: Literal["file"]
    file: FileReference


class MediaPart(_Part):
    """A medium as in chat templates of transformers: one of `url`, `path`, `base64`."""

    type: Literal["image", "video", "audio"]
    url: str | None = None
    path: str | None = None
    base64: str | None = None
    image: str | None = Field(None, description="A URL; likewise `video` and `audio`.")
    video: str | None = None
    audio: str | None = None


class OtherPart(_Part):
    """A medium of another kind that the model knows, such as ``depth_url`` (with `depth_url`) or
    ``depth`` (with one of `url`, `path`, `base64`).
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=80, json_schema_extra={"examples": ["depth_url"]})
    # Sent with replies besides the medium: accepted, but the kind decides how it is read.
    media_type: str | None = None
    format: str | None = None
    url: str | None = None
    path: str | None = None
    base64: str | None = None

    @property
    def modality(self) -> str:
        """What kind of medium it is."""
        return self.type.removesuffix("_url")

    @property
    def named(self) -> Url | str | None:
        """The value of the field named like the part's type."""
        found: Url | str | None = (self.model_extra or {}).get(self.type)
        return found

    @model_validator(mode="after")
    def _checked(self) -> OtherPart:
        _known_medium(self.modality)
        extra = self.model_extra or {}
        for name, value in extra.items():
            if name != self.type:
                raise ValueError(f"a part of type {self.type!r} has no field {name[:64]!r}")
            if not isinstance(value, str):
                extra[name] = Url.model_validate(value)
        return self


_PARTS = {
    "text": "text", "input_text": "text", "image_url": "image_url", "audio_url": "audio_url",
    "video_url": "video_url", "input_audio": "input_audio", "file": "file",
    "image": "media", "video": "media", "audio": "media",
}  # fmt: skip


def _kind_of_part(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return _PARTS.get(kind, "other") if isinstance(kind, str) else "other"


Part = Annotated[
    Annotated[TextPart, Tag("text")]
    | Annotated[ImageUrlPart, Tag("image_url")]
    | Annotated[AudioUrlPart, Tag("audio_url")]
    | Annotated[VideoUrlPart, Tag("video_url")]
    | Annotated[InputAudioPart, Tag("input_audio")]
    | Annotated[FilePart, Tag("file")]
    | Annotated[MediaPart, Tag("media")]
    | Annotated[OtherPart, Tag("other")],
    Discriminator(_kind_of_part),
]


class WireMessage(Strict):
    """One turn. An assistant's may be a reply of this server, sent back as it came."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    name: str | None = Field(None, description="Accepted; the model knows no names.")
    content_parts: list[Part] | None = Field(
        None, description="Parts of a reply in order; they count instead of the other fields."
    )
    images: list[Part] | None = None
    videos: list[Part] | None = None
    audios: list[Part] | None = None
    media: list[Part] | None = None
    audio: dict[str, Any] | None = None
    # Clients send these back with a reply; this server leaves them empty.
    refusal: None = None
    annotations: list[Any] | None = Field(None, max_length=0)
    function_call: None = None
    tool_calls: list[Any] | None = Field(None, max_length=0)
    reasoning_content: None = None
    provider_specific_fields: Any = Field(None, description="Accepted: what LiteLLM adds.")


class StreamOptions(Strict):
    """Options of a streamed reply."""

    include_usage: bool = False
    include_obfuscation: bool = Field(False, description="Accepted; nothing is obfuscated.")


class AudioFormat(Strict):
    """How sounds are written."""

    format: Literal["wav", "mp3", "flac", "ogg"] = "wav"
    voice: Any = Field(None, description="Accepted; sounds have no voices.")


class ResponseType(Strict):
    """OpenAI's form of `response_format`; replies are always text and media."""

    type: Literal["text", "url", "b64_json"]


ResponseFormat = Literal["url", "b64_json"]


class ChatRequest(Knobs):
    """``POST /v1/chat/completions``."""

    model: str | None = None
    messages: list[WireMessage] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    previews: bool | None = Field(
        None, description="Streaming: `progress` holds small pictures of what is being made."
    )
    modalities: list[Literal["text"] | Medium] | None = Field(
        None, description="What the reply may hold; absent, the model decides. Text it always may."
    )
    force: ForceField = None
    edit: Literal["never", "auto", "always"] | None = Field(
        None, description="Whether a new medium is made from the latest of its kind."
    )
    strength: float | None = Field(None, gt=0, le=1, description="Of such an edit; absent: chosen.")
    retrieve: bool | None = Field(
        None, description="Whether media may come from the server's index, where it has one."
    )
    max_media: int | None = Field(None, ge=0, le=16, description="Media of one reply.")
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    top_k: int | None = Field(None, ge=0)
    repetition_penalty: float | None = Field(None, gt=0)
    stop: StopField = None
    response_format: ResponseFormat | ResponseType | None = Field(
        None, description='"url": media as URLs of this server instead of data URIs.'
    )
    audio: AudioFormat | None = None
    # Accepted if they ask for what happens anyway.
    n: Literal[1] | None = None
    logprobs: Literal[False] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    # Accepted and without effect on the reply.
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class MediaRequest(Knobs):
    """A medium for a prompt."""

    model: str | None = None
    prompt: str = Field(min_length=1, max_length=32_000)
    user: str | None = Field(None, description="Accepted, without effect.")
    temperature: float | None = Field(None, ge=0, le=2)


class ImageRequest(MediaRequest):
    """``POST /v1/images/generations``."""

    n: int | None = Field(1, ge=1)
    size: str | None = Field(None, description="'512x512' or 'auto'; or give width and height.")
    response_format: ResponseFormat | None = "b64_json"
    output_format: Literal["png", "jpeg", "webp"] | None = "png"
    quality: Literal["auto", "standard"] | None = None
    style: None = None
    background: Literal["auto", "opaque"] | None = None
    moderation: Literal["auto", "low"] | None = None
    stream: Literal[False] | None = None


class EditRequest(ImageRequest):
    """``POST /v1/images/edits``: a form with the picture in the field `image`."""

    strength: float | None = Field(
        None, gt=0, le=1, description="Near 0 keeps the picture; absent, chosen by the change."
    )


class AudioRequest(MediaRequest):
    """``POST /v1/audio/generate``."""

    n: int | None = Field(1, ge=1)
    response_format: ResponseFormat | Literal["bytes"] | None = Field(
        "b64_json", description='"bytes": the sound itself is the answer.'
    )
    format: Literal["wav", "mp3", "flac", "ogg"] = "wav"


class VideoRequest(MediaRequest):
    """``POST /v1/videos``: JSON or a form."""

    size: str | None = None
    seconds: float | None = Field(None, gt=0, description="Times `fps` it is `num_frames`.")
