"""Captioners of transformers, tiny and random, written to folders and loaded the real way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from tokenizers import pre_tokenizers
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from anyweave.encoders import resolve
from anyweave.encoders.captioner import PROMPT, Captioner
from anyweave.generation import ChatSession, Done, GenerationOptions
from anyweave.language.byte_tokenizer import byte_tokenizer
from anyweave.messages import Audio, Image, Message, Text, Video
from anyweave.model.any_to_any import NextGPT
from anyweave.model.inspect import inspect_spec
from anyweave.model.spec import EncoderSpec
from anyweave.testing.encoders import write_tiny_captioner
from anyweave.testing.model import tiny_model, tiny_spec

_SMALL: dict[str, Any] = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
_SEEN = {**_SMALL, "image_size": 32, "patch_size": 16}
_SIDE = {"height": 32, "width": 32}
_VOCABULARY = 280
PICTURE = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
WAVE = np.random.default_rng(0).normal(size=16000).astype(np.float32) / 10


def _saved(folder: Path, *parts: Any) -> Path:
    for part in parts:
        part.save_pretrained(folder)
    return folder


def blip(folder: Path) -> Path:
    """Older captioners: a processor without chat template."""
    ids = {"bos_token_id": 259, "eos_token_id": 257, "sep_token_id": 257, "pad_token_id": 258}
    text = {**_SMALL, **ids, "vocab_size": _VOCABULARY, "encoder_hidden_size": 16}
    config = hf.BlipConfig(
        text_config={**text, "projection_dim": 8, "max_position_embeddings": 64},
        vision_config=_SEEN,
        projection_dim=8,
        image_text_hidden_size=16,
    )
    processor = hf.BlipProcessor(BlipImageProcessorPil(size=_SIDE), byte_tokenizer())
    return _saved(folder, hf.BlipForConditionalGeneration(config), processor)


def halves(folder: Path) -> Path:
    """An image encoder with a decoder, whose processor and tokenizer lie side by side."""
    encoder = hf.ViTModel(hf.ViTConfig(**_SEEN))
    decoder = hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=_VOCABULARY, n_embd=16, n_layer=1, n_head=2, add_cross_attention=True,
            is_decoder=True, bos_token_id=259, eos_token_id=257,
        )
    )  # fmt: skip
    model = hf.VisionEncoderDecoderModel(encoder=encoder, decoder=decoder)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id, config.pad_token_id = 259, 258
    return _saved(folder, model, ViTImageProcessorPil(size=_SIDE), byte_tokenizer())


def llava(folder: Path) -> Path:
    """Today's: asked through a chat template."""
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(**{**_SEEN, "num_hidden_layers": 2}),
        text_config=hf.LlamaConfig(**_SMALL, vocab_size=_VOCABULARY, num_key_value_heads=2),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    processor = hf.LlavaProcessor(
        CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=_SIDE),
        tokenizer,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template="{% for m in messages %}{{ m.role }}: {% for c in m.content %}"
        "{{ '<image>' if c.type == 'image' else c.text }}{% endfor %}<|im_end|>{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}",
    )
    return _saved(folder, hf.LlavaForConditionalGeneration(config), processor)


def classifier(folder: Path) -> Path:
    return write_tiny_captioner(folder)


def whisper(folder: Path) -> Path:
    named = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|notimestamps|>")
    pieces = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *named]
    tokenizer = hf.WhisperTokenizer(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[])
    layers = {"encoder_layers": 1, "decoder_layers": 1, "num_mel_bins": 80}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = hf.WhisperConfig(
        vocab_size=_VOCABULARY, d_model=16, encoder_ffn_dim=16, decoder_ffn_dim=16, **layers,
        **heads, max_target_positions=64, bos_token_id=256, eos_token_id=256, pad_token_id=256,
        decoder_start_token_id=257, suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = hf.WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 12
    model.generation_config.is_multilingual = False
    model.generation_config.no_timestamps_token_id = 259
    return _saved(folder, model, hf.WhisperFeatureExtractor(feature_size=80), tokenizer)


def letters(folder: Path) -> Path:
    """Speech by connectionist temporal classification."""
    config = hf.Wav2Vec2Config(
        **_SMALL, vocab_size=_VOCABULARY, conv_dim=[8, 8], conv_kernel=[10, 3],
        conv_stride=[5, 2], num_conv_pos_embeddings=16, num_feat_extract_layers=2,
        num_conv_pos_embedding_groups=2, pad_token_id=258,
    )  # fmt: skip
    return _saved(
        folder, hf.Wav2Vec2ForCTC(config), hf.Wav2Vec2FeatureExtractor(), byte_tokenizer()
    )


def sounds(folder: Path) -> Path:
    labels = {0: "bell", 1: "bark"}
    sizes = {"max_length": 128, "num_mel_bins": 64}
    config = hf.ASTConfig(
        **_SMALL, **sizes, id2label=labels, label2id={v: k for k, v in labels.items()}
    )
    return _saved(folder, hf.ASTForAudioClassification(config), hf.ASTFeatureExtractor(**sizes))


READERS: tuple[Callable[[Path], Path], ...] = (blip, halves, llava, classifier)
HEARERS: tuple[Callable[[Path], Path], ...] = (whisper, letters, sounds)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("captioners")
    made = {}
    for write in (*READERS, *HEARERS):
        torch.manual_seed(0)
        made[write.__name__] = write(root / write.__name__)
    return made


@pytest.mark.parametrize("write", READERS)
def test_pictures_and_clips_become_words(
    write: Callable[[Path], Path], folders: dict[str, Path], tmp_path: Path
) -> None:
    captioner = resolve("captioner").from_pretrained(folders[write.__name__], max_new_tokens=6)
    assert captioner.modalities == ("image", "video")
    words = captioner.describe("image", PICTURE)
    still = np.stack([PICTURE] * 5)
    assert captioner.describe("video", still) == words  # what does not change is told once
    captioner.save_pretrained(tmp_path)
    again = Captioner.from_pretrained(tmp_path, max_new_tokens=6)
    assert again.describe("image", PICTURE) == words


@pytest.mark.parametrize("write", HEARERS)
def test_sounds_become_words(write: Callable[[Path], Path], folders: dict[str, Path]) -> None:
    captioner = Captioner.from_pretrained(folders[write.__name__])
    assert (captioner.modalities, captioner.sample_rate) == (("audio",), 16000)
    assert captioner.describe("audio", WAVE)


def test_a_captioner_says_what_its_model_says(folders: dict[str, Path]) -> None:
    picture = hf.ViTForImageClassification.from_pretrained(folders["classifier"])
    inputs = ViTImageProcessorPil.from_pretrained(folders["classifier"])(
        PICTURE, return_tensors="pt"
    )
    with torch.no_grad():
        order = picture(**inputs).logits[0].argsort(descending=True)
    likeliest = ", ".join(picture.config.id2label[int(i)] for i in order[:2])
    assert Captioner.from_pretrained(folders["classifier"]).describe("image", PICTURE) == likeliest

    asked = Captioner.from_pretrained(folders["llava"], max_new_tokens=6)
    assert asked.describe("image", PICTURE)
    seen: list[str] = []
    apply = asked.processor.apply_chat_template

    def watched(talk: Any, **keywords: Any) -> Any:
        seen.append(talk[0]["content"][1]["text"])
        return apply(talk, **keywords)

    asked.processor.apply_chat_template = watched
    asked.describe("image", PICTURE)
    assert seen == [PROMPT]


def test_a_clip_that_changes_is_told_in_order(folders: dict[str, Path]) -> None:
    captioner = Captioner.from_pretrained(folders["classifier"], video_frames=2, labels=1)
    told = iter(("a", "b"))
    captioner._seen = lambda picture: next(told)  # type: ignore[method-assign]
    assert captioner.describe("video", np.stack([PICTURE, PICTURE, 255 - PICTURE])) == "a, then b"


def test_what_gives_no_words_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    hf.ViTModel(hf.ViTConfig(**_SEEN)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="ViTModel, which puts no media into words"):
        Captioner.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no task 'summarization'"):
        Captioner.from_pretrained(folders["blip"], task="summarization")
    with pytest.raises(ValueError, match="reads image, video, not 'audio'"):
        Captioner.from_pretrained(folders["blip"]).describe("audio", WAVE)


# ---------------------------------------------------------------------- in a whole model


@pytest.fixture(scope="module")
def cascade(folders: dict[str, Path]) -> NextGPT:
    encoders = (
        EncoderSpec(
            type="captioner", source=str(folders["classifier"]), modalities=("image", "video")
        ),
        EncoderSpec(type="captioner", source=str(folders["sounds"]), modalities=("audio",)),
    )
    return tiny_model(
        encoders=encoders, bridge="caption", calls="words", lora=None, output_projectors={}
    )


def test_words_take_the_place_of_media(cascade: NextGPT) -> None:
    picture, sound = Image(PICTURE), Audio(WAVE, rate=16000.0)
    sample = cascade.processor.render([Message("user", ["what is ", picture, sound])])
    words = [cascade.processor.words(part) for part in (picture, sound)]
    text = cascade.processor.decode_text(sample.input_ids.tolist())
    assert f"what is [image: {words[0]}][audio: {words[1]}]" in text
    assert not sample.media
    assert not cascade.input_projectors
    counted = inspect_spec(cascade.spec, cascade.root)
    assert {part.part for part in counted} >= {"captioner (audio)"}
    assert all(part.parameters for part in counted if part.part.startswith("captioner"))
    assert not any(part.role == "input_projectors" for part in counted)


def test_a_reply_says_what_was_read(cascade: NextGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder: Any = cascade.encoders["image"]
    calls: list[str] = []
    describe = encoder.describe

    def watched(self: Any, modality: Any, array: Any, **keywords: Any) -> str:
        calls.append(modality)
        return str(describe(modality, array, **keywords))

    monkeypatch.setattr(type(encoder), "describe", watched)
    clip = np.stack([np.roll(PICTURE, shift, 0) for shift in range(4)])
    options = GenerationOptions(max_new_tokens=4, decode_media=False, seed=0)
    session = ChatSession(cascade, options)
    done = list(session.send(Message("user", [Text("and?"), Video(clip, rate=4.0)])))[-1]
    assert isinstance(done, Done)
    (told,) = done.usage.described
    assert (told.modality, bool(told.words)) == ("video", True)
    done = list(session.send("more"))[-1]
    assert isinstance(done, Done)
    assert not done.usage.described
    assert done.usage.cached_tokens > done.usage.prompt_tokens / 2
    assert calls == ["video"]  # what was read once is not read again


def test_an_answer_never_leaks_into_the_question(cascade: NextGPT) -> None:
    """A caption that a data file gives a user's medium is not what the captioner says."""
    part = Image(PICTURE, caption="the answer")
    sample = cascade.processor.render([Message("user", [part])])
    assert "the answer" not in cascade.processor.decode_text(sample.input_ids.tolist())


def test_a_cascade_travels(cascade: NextGPT, tmp_path: Path) -> None:
    saved = cascade.save_pretrained(tmp_path / "saved")
    again = NextGPT.from_pretrained(saved)
    assert again.processor.words(Image(PICTURE)) == cascade.processor.words(Image(PICTURE))
    assert again.spec.calls == "words"


def test_features_and_words_may_be_mixed(folders: dict[str, Path], tmp_path: Path) -> None:
    spec = tiny_spec(tmp_path)
    encoders = (
        EncoderSpec(type="imagebind", source=spec.encoders[0].source, modalities=("image",)),
        EncoderSpec(type="captioner", source=str(folders["sounds"]), modalities=("audio",)),
    )
    model = tiny_model(tmp_path, encoders=encoders)
    assert list(model.input_projectors) == ["image"]
    sample = model.processor.render(
        [Message("user", [Image(PICTURE), Audio(WAVE, rate=16000.0)])], add_generation_prompt=True
    )
    assert [medium.modality for medium in sample.media] == ["image"]
    assert "[audio: " in model.processor.decode_text(sample.input_ids.tolist())
