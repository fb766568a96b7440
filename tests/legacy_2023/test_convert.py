"""A small checkpoint converted: the same answers as the published architecture."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from anyweave.batch import BatchMedia
from anyweave.cli import app
from anyweave.encoders.imagebind import ImageBind
from anyweave.encoders.preprocess import CLIP_MEAN, CLIP_STD
from anyweave.generation import ChatSession, GenerationOptions
from anyweave.messages import PAPER_MODALITIES, Message, Video
from anyweave.model.any_to_any import NextGPT
from anyweave.model.checkpoint import read_spec
from anyweave.model.inspect import inspect_checkpoint
from anyweave.processing import collate
from anyweave.testing.conversations import tiny_media
from legacy_2023 import base as base_room
from legacy_2023 import conversion
from legacy_2023.conversion import convert
from legacy_2023.spec import Parts

from .conftest import TINY, Published, write_base


@pytest.fixture(scope="module")
def converted(
    original: Published, base: Path, parts: Parts, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("converted")
    torch.save(original.trained(), folder / "pytorch_model.pt")
    convert(folder / "pytorch_model.pt", folder / "out", base=base, parts=parts, layout=TINY)
    return folder / "out"


@pytest.fixture(scope="module")
def model(converted: Path) -> NextGPT:
    return NextGPT.from_pretrained(converted, dtype="float32")


def test_it_says_what_the_published_model_says(model: NextGPT, original: Published) -> None:
    conversation = [
        Message("user", [tiny_media("image", 1), "what is it?"]),
        Message("assistant", ["a dot", tiny_media("video", 2), tiny_media("audio", 3)]),
    ]
    sample = model.processor.render(conversation)
    batch = collate([sample], model.processor.pad_id)
    features = model.encode("image", batch.media["image"])
    # Row by row, as that code did it: embeddings of ids, the medium's one embedding in its place.
    ids = sample.input_ids.clone()
    place = sample.media[0].start
    assert sample.media[0].length == 1
    ids[place] = 0
    embeds = original.llama.get_input_embeddings()(ids)[None].clone()
    embeds[0, place] = original.llama_proj(features.mean(dim=1))[0]
    torch.testing.assert_close(model.embed(batch), embeds)

    output = original.llama_model(inputs_embeds=embeds, output_hidden_states=True)
    hidden, _ = model.language(model.embed(batch))
    torch.testing.assert_close(hidden, output.hidden_states[-1], atol=1e-4, rtol=1e-4)
    logits = model.language.logits(hidden)
    assert logits.shape[-1] == TINY.rows
    torch.testing.assert_close(logits, output.logits, atol=1e-3, rtol=1e-4)

    for target in sample.targets:
        span = slice(target.start, target.start + target.length)
        states = output.hidden_states[-1][:, span]
        expected = original.mapper(target.modality)(states, embeds[:, span])
        ours = model.condition(target.modality, states)
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


def test_media_enter_as_one_pooled_vector(model: NextGPT, original: Published) -> None:
    for modality in PAPER_MODALITIES:
        encoder = model.encoders[modality]
        assert isinstance(encoder, ImageBind)
        inputs = model.processor.preprocess(tiny_media(modality, 1))[None]
        media = BatchMedia(torch.tensor([0]), torch.tensor([0]), 1, inputs=inputs)
        tokens = model.project(modality, model.encode(modality, media))
        expected = original.llama_proj(encoder.pooled(modality, inputs))
        torch.testing.assert_close(tokens[:, 0], expected)


def test_clips_start_where_they_did(model: NextGPT) -> None:
    encoder = model.encoders["video"]
    assert isinstance(encoder, ImageBind)
    assert encoder.config.clips_reach_end is False
    seconds = np.arange(100)[:, None, None, None]
    clip = np.broadcast_to(seconds, (100, 64, 64, 3)).astype(np.uint8)
    inputs = model.processor.preprocess(Video(clip, rate=10.0))
    shown = inputs[:, 0, 0, 0, 0].unique()
    clips = encoder.config.num_video_clips
    latest = 100 - 10 * encoder.config.video_clip_seconds
    level = (shown * CLIP_STD[0] + CLIP_MEAN[0]) * 255
    expected = torch.tensor([math.ceil(n * latest / clips) for n in range(clips)])
    torch.testing.assert_close(level, expected.float(), atol=0.1, rtol=0)


def test_it_answers_in_every_modality(model: NextGPT) -> None:
    session = ChatSession(model)
    small: dict[str, Any] = {"height": 16, "width": 16, "num_frames": 4, "audio_length": 0.32}
    user = Message("user", [tiny_media("audio", 1), "hello"])
    reply = session.reply(
        user, max_new_tokens=8, num_inference_steps=1, force=PAPER_MODALITIES, seed=0, **small
    )
    assert {part.modality for part in reply.media()} == set(PAPER_MODALITIES)
    assert session.reply("and now?", max_new_tokens=4, modalities=("text",)).role == "assistant"


def test_it_stops_at_both_tokenisations(model: NextGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    token = model.processor.tokenizer.convert_tokens_to_ids
    text = [token("o"), token("k")]
    for ending in (["<0x0A>", "##", "#"], ["\u2581###"]):
        script = iter([*text, *map(token, ending), *text])

        def logits(hidden: torch.Tensor, script: Iterator[int] = script) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.tensor(next(script)), TINY.rows).float()

        monkeypatch.setattr(model.language, "logits", logits)
        session = ChatSession(model, GenerationOptions(merge_adapters=False))
        assert session.reply("hi", temperature=0.0).text == "ok"
        # What was not said is not remembered either.
        assert session._ids[-2:] == text and session._engine.length == len(session._ids)


def test_only_the_rows_of_text_are_in_the_language_model(
    converted: Path, original: Published
) -> None:
    index = json.loads((converted / "language" / "model.safetensors.index.json").read_text())
    embedding = original.llama.get_input_embeddings().weight.half()
    for name, whole in (
        ("model.embed_tokens.weight", embedding),
        ("lm_head.weight", original.llama.lm_head.weight.half()),
    ):
        stored = load_file(converted / "language" / index["weight_map"][name])[name]
        assert torch.equal(stored, whole[: TINY.kept_rows])
    rows = load_file(converted / "signal_rows.safetensors")
    assert torch.equal(rows["input_rows"], embedding[TINY.kept_rows :])
    assert (converted / "lora.safetensors").exists() == (read_spec(converted).lora is not None)


def test_the_new_tokens_are_tokens(model: NextGPT) -> None:
    tokenizer = model.processor.tokenizer
    assert tokenizer.convert_tokens_to_ids(["<Img>", "</Img>"]) == [
        TINY.text_rows,
        TINY.text_rows + 1,
    ]
    assert model.language.base_vocab_size == len(tokenizer) == TINY.kept_rows


def test_layers_are_linked_and_untouched(converted: Path, base: Path) -> None:
    linked = [p for p in (converted / "language").iterdir() if (base / p.name).exists()]
    shards = [p for p in linked if p.suffix == ".safetensors"]
    assert shards
    for path in shards:
        assert path.stat().st_ino == (base / path.name).stat().st_ino


def test_without_links_files_are_copied(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    convert(delta_file, tmp_path / "out", base=base, layout=TINY)
    assert all(
        path.stat().st_nlink == 1 for path in (tmp_path / "out" / "language").glob("*.safetensors")
    )


def test_a_base_in_torch_files(delta_file: Path, base: Path, tmp_path: Path) -> None:
    """Vicuna v0 as it was made in 2023 is not in safetensors."""
    old = write_base(tmp_path / "old", TINY)
    files = sorted(old.glob("*.safetensors"))
    half = len(files) // 2
    places: dict[str, str] = {}
    for number, some in enumerate((files[:half], files[half:]), 1):
        tensors = {name: t for path in some for name, t in load_file(path).items()}
        place = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save(tensors, old / place)
        places |= dict.fromkeys(tensors, place)
    (old / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))
    for path in [*files, old / "model.safetensors.index.json"]:
        path.unlink()
    for name, source in (("old", old), ("new", base)):
        convert(delta_file, tmp_path / f"out-{name}", base=source, layout=TINY)
    stored = [
        {
            name: tensor
            for path in (tmp_path / out / "language").glob("*.safetensors")
            for name, tensor in load_file(path).items()
        }
        for out in ("out-old", "out-new")
    ]
    assert stored[0].keys() == stored[1].keys()
    assert all(torch.equal(tensor, stored[1][name]) for name, tensor in stored[0].items())


def test_progress_and_record(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_room, "SHARD_BYTES", 20_000)
    seen: list[tuple[int, int]] = []
    record = convert(
        delta_file,
        tmp_path / "out",
        base=base,
        layout=TINY,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert len(seen) > 1
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    written = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert written["sha256"] == record.sha256
    assert (written["stage"], written["absent"]) == ("3", [])


def test_nothing_is_left_when_the_disk_is_full(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_room, "SHARD_BYTES", 20_000)
    calls = []

    def fail(tensors: object, path: Path, metadata: object) -> None:
        calls.append(path)
        path.write_bytes(b"half")
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(base_room, "save_file", fail)
    before = [path.stat().st_nlink for path in sorted(base.iterdir())]
    with pytest.raises(OSError, match="No space left"):
        convert(delta_file, tmp_path / "out", base=base, layout=TINY)
    assert list(tmp_path.iterdir()) == []
    assert [path.stat().st_nlink for path in sorted(base.iterdir())] == before


def test_without_input_projection_it_reads_no_media(
    delta_file: Path, base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = torch.load(delta_file, weights_only=True)
    del state["llama_proj.weight"], state["llama_proj.bias"]
    torch.save(state, tmp_path / "small.pt")
    record = convert(tmp_path / "small.pt", tmp_path / "out", base=base, layout=TINY)
    assert record.absent == ("llama_proj.weight", "llama_proj.bias")
    assert "holds no llama_proj.weight and no llama_proj.bias" in caplog.text
    model = NextGPT.from_pretrained(tmp_path / "out")
    with pytest.raises(ValueError, match="takes no image as input"):
        model.processor.render([Message("user", [tiny_media("image", 1)])])


def test_conditioning_is_not_normalised(converted: Path) -> None:
    spec = read_spec(converted)
    assert not any(projector.normalize for projector in spec.output_projectors.values())
    assert spec.template == "nextgpt-legacy"


def test_the_command(
    delta_file: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "Layout", lambda: TINY)
    (tmp_path / "imagebind.pth").touch()
    monkeypatch.chdir(tmp_path)
    arguments = ["convert", "legacy", str(delta_file), "out", "--base", str(base)]
    result = CliRunner().invoke(app, [*arguments, "--encoder", "imagebind.pth"])
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert record["sha256"] in result.stdout
    # A file that is there is found from anywhere; what is a hub id stays one.
    spec = read_spec(tmp_path / "out")
    assert spec.encoders[0].source == str(tmp_path / "imagebind.pth")
    assert spec.decoders["video"].source == "cerspense/zeroscope_v2_576w"


def test_inspect_counts_it(converted: Path, original: Published) -> None:
    counted: dict[str | None, int] = defaultdict(int)
    for part in inspect_checkpoint(converted).parts:
        counted[part.role] += part.parameters or 0
    sizes = {name: parameter.numel() for name, parameter in original.named_parameters()}
    for role, name in (
        ("output_projectors", "gen_text_hidden_fcs"),
        ("input_projectors", "llama_proj"),
        ("lora", "lora_"),
    ):
        assert counted[role] == sum(size for full, size in sizes.items() if name in full)
    assert counted["signal_rows"] == 2 * (TINY.rows - TINY.kept_rows) * TINY.hidden
