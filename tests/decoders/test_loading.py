"""Networks are read when first used, from a folder or from the hub's cache, in the asked precision;
guidance needs no text encoder; offloaded networks leave the device.
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import (
    LDMBertConfig,
    LDMBertModel,
)
from safetensors.torch import load_file, save_file

from anyweave.decoders.captions import caption_ids
from anyweave.decoders.codecs.sizes import MediaSize
from anyweave.decoders.folder import UNCONDITIONAL_FILE
from anyweave.decoders.latent_diffusion import LatentDiffusion
from anyweave.messages import PAPER_MODALITIES
from anyweave.testing.decoders import tiny_decoder, write_tiny_decoder

STEPS: dict[str, Any] = {"num_inference_steps": 2, "seeds": [3]}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_each_use_reads_only_what_it_needs(modality: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"vocoder": True} if modality == "audio" else {}
    path = write_tiny_decoder(tmp_path / "d", modality, **options)
    (path / UNCONDITIONAL_FILE).unlink()
    whole = tiny_decoder(modality, **options)
    sounding = {"vocoder"} if modality == "audio" else set()

    aligning = LatentDiffusion.from_pretrained(modality, path)
    assert aligning.conditioning_shape == whole.conditioning_shape
    caption = aligning.encode_captions(["a cat"])
    assert aligning.in_memory == ("text_encoder",)
    torch.testing.assert_close(caption, whole.encode_captions(["a cat"]))

    replying = LatentDiffusion.from_pretrained(modality, path)
    media = replying.generate(caption, **STEPS)
    assert set(replying.in_memory) == {"unet", "vae"} | sounding
    np.testing.assert_array_equal(media[0], whole.generate(caption, **STEPS)[0])

    caching = LatentDiffusion.from_pretrained(modality, path)
    caching.encode_media(media)
    assert caching.in_memory == ("vae",)
    assert {name.split(".")[0] for name in caching.state_dict()} == (
        {"unet", "vae", "text_encoder"} | sounding
    )
    assert not any(p.requires_grad for p in caching.parameters())


def test_parts_read_later_follow_the_device_and_type(tmp_path: Path) -> None:
    decoder = LatentDiffusion.from_pretrained("image", write_tiny_decoder(tmp_path / "d", "image"))
    decoder.vae  # noqa: B018
    decoder.to(torch.float64)
    assert decoder.unet.dtype == decoder.vae.dtype == decoder.dtype == torch.float64


@pytest.mark.parametrize("offload", [False, True])
def test_a_decoder_first_used_in_a_reply_can_be_trained_through(
    offload: bool, tmp_path: Path
) -> None:
    """Replies run in inference mode; what is read there must not stay inference tensors."""
    path = write_tiny_decoder(tmp_path / "d", "image")
    (path / UNCONDITIONAL_FILE).unlink()
    decoder = LatentDiffusion.from_pretrained("image", path, offload=offload)
    with torch.inference_mode():
        decoder.generate(decoder.encode_captions(["a cat"]), **STEPS)
    caption = decoder.encode_captions(["a cat"]).requires_grad_()
    decoder.denoising_loss(caption, torch.randn(1, 4, 8, 8)).sum().backward()
    assert caption.grad is not None
    assert not decoder.unconditional().is_inference()


def test_the_unconditional_embedding_is_computed_once(
    users_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    stored = load_file(path / UNCONDITIONAL_FILE)["unconditional"]
    (path / UNCONDITIONAL_FILE).unlink()
    first = LatentDiffusion.from_pretrained("image", path)
    torch.testing.assert_close(first.unconditional(), stored)
    assert first.in_memory == ()  # read for this alone, and forgotten

    def refuse(self: LatentDiffusion, captions: list[str]) -> None:
        raise AssertionError("the text encoder was asked again")

    with monkeypatch.context() as patch:
        patch.setattr(LatentDiffusion, "encode_captions", refuse)
        later = LatentDiffusion.from_pretrained("image", path, load_text_encoder=False)
        torch.testing.assert_close(later.unconditional(), stored)
        other_type = LatentDiffusion.from_pretrained("image", path, dtype="bfloat16")
        with pytest.raises(AssertionError, match="asked again"):
            other_type.unconditional()
    (kept,) = users_cache.rglob("*.safetensors")
    kept.write_bytes(b"damaged")
    mended = LatentDiffusion.from_pretrained("image", path)
    torch.testing.assert_close(mended.unconditional(), stored)
    assert load_file(kept)["unconditional"].shape == (1, 8, 32)
    weights = path / "text_encoder" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"")  # another time of writing: another identity
    changed = LatentDiffusion.from_pretrained("image", path, load_text_encoder=False)
    with pytest.raises(ValueError, match="neither unconditional.safetensors nor a loaded text"):
        changed.unconditional()


def test_a_cache_that_cannot_be_written_is_no_error(
    users_cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    (path / UNCONDITIONAL_FILE).unlink()
    users_cache.write_text("a file where the folder should be")
    decoder = LatentDiffusion.from_pretrained("image", path)
    assert decoder.unconditional().shape == (1, 8, 32)
    assert "cannot keep the unconditional embedding" in caplog.text


# What the public repositories' configs say, as far as it decides shapes.
_VAE = {"_class_name": "AutoencoderKL", "latent_channels": 4, "block_out_channels": [128, 256, 512]}
PUBLIC: dict[str, dict[str, Any]] = {
    "image": {  # Stable Diffusion 1.5
        "unet": {"_class_name": "UNet2DConditionModel", "sample_size": 64, "in_channels": 4}
        | {"cross_attention_dim": 768},
        "vae": _VAE | {"block_out_channels": [128, 256, 512, 512]},
        "scheduler": {"_class_name": "PNDMScheduler", "skip_prk_steps": True},
    },
    "video": {  # Zeroscope v2 576w
        "unet": {"_class_name": "UNet3DConditionModel", "sample_size": 32, "in_channels": 4}
        | {"cross_attention_dim": 1024},
        "vae": _VAE | {"block_out_channels": [128, 256, 512, 512]},
        "scheduler": {"_class_name": "DDIMScheduler"},
    },
    "audio": {  # AudioLDM-l-full
        "unet": {"_class_name": "UNet2DConditionModel", "sample_size": 128, "in_channels": 8}
        | {"class_embed_type": "simple_projection", "projection_class_embeddings_input_dim": 512},
        "vae": _VAE | {"in_channels": 1, "out_channels": 1, "latent_channels": 8},
        "scheduler": {"_class_name": "DDIMScheduler"},
        "vocoder": {"model_type": "hifigan", "model_in_dim": 64, "sampling_rate": 16000}
        | {"upsample_rates": [5, 4, 2, 2, 2]},
    },
}


@pytest.mark.parametrize(
    ("modality", "conditioning", "size", "latents"),
    [
        ("image", (77, 768), {}, (4, 64, 64)),
        ("video", (77, 1024), {"height": 320, "width": 576, "num_frames": 24}, (4, 24, 40, 72)),
        ("audio", (1, 512), {}, (8, 128, 16)),
        ("audio", (1, 512), {"audio_length": 10.0}, (8, 250, 16)),
    ],
)
def test_the_public_decoders_by_their_configs_alone(
    modality: str, conditioning: Any, size: Any, latents: Any, tmp_path: Path
) -> None:
    """No weights: 512 px pictures, 576 x 320 clips, sounds at 16 kHz of any length."""
    for part, config in PUBLIC[modality].items():
        (tmp_path / part).mkdir()
        name = "scheduler_config.json" if part == "scheduler" else "config.json"
        schedule = {"beta_schedule": "scaled_linear"} if part == "scheduler" else {}
        (tmp_path / part / name).write_text(json.dumps(config | schedule))
    save_file({"unconditional": torch.zeros(1, *conditioning)}, tmp_path / UNCONDITIONAL_FILE)
    decoder = LatentDiffusion.from_pretrained(modality, tmp_path, dtype="float16")
    assert decoder.conditioning_shape == conditioning
    assert decoder.codec.latent_shape(MediaSize(**size)) == latents
    assert decoder.rate == {"image": None, "video": 8.0, "audio": 16000.0}[modality]
    assert (decoder.defaults.scheduler, decoder.in_memory) == ("dpm++", ())


# --- the files


def _on_the_hub(folder: Path, cache: Path) -> str:
    """The folder as the hub's client keeps a downloaded repository; returns its id."""
    repository = cache / "models--someone--tiny"
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return "someone/tiny"


def _keep(folder: Path, variant: str | None, dtype: torch.dtype = torch.float32) -> None:
    """Rewrite the networks of a folder in one variant and type."""
    decoder = LatentDiffusion.from_pretrained("image", folder, dtype=dtype)
    decoder.load()
    for part in ("unet", "vae", "text_encoder"):
        for file in (folder / part).glob("*.safetensors"):
            file.unlink()
        getattr(decoder, part).save_pretrained(folder / part, variant=variant)


def test_by_id_variant_and_precision(tmp_path: Path) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    expected = LatentDiffusion.from_pretrained("image", path, dtype="float16")
    expected.load()
    caption = expected.encode_captions(["a cat"])
    _keep(path, "fp16", torch.float16)
    hub: dict[str, Any] = {"cache_dir": tmp_path / "hub", "local_files_only": True}
    name = _on_the_hub(path, tmp_path / "hub")
    decoder = LatentDiffusion.from_pretrained("image", name, variant="fp16", dtype="float16", **hub)
    assert torch.equal(decoder.encode_captions(["a cat"]), caption)
    for part in ("unet", "vae"):
        for key, value in getattr(expected, part).state_dict().items():
            assert torch.equal(getattr(decoder, part).state_dict()[key], value), key

    (tmp_path / "hub" / "models--someone--tiny" / "refs" / "main").write_text("f" * 40)
    pinned = LatentDiffusion.from_pretrained("image", name, variant="fp16", revision=COMMIT, **hub)
    assert pinned.unet.dtype == torch.float32
    with pytest.raises(ValueError, match="'someone/tiny' is neither a folder nor a decoder"):
        LatentDiffusion.from_pretrained("image", name, variant="fp16", **hub)
    plain = LatentDiffusion.from_pretrained("image", name, revision=COMMIT, **hub)
    with pytest.raises(ValueError, match="gives no unet .default files."):
        plain.unet  # noqa: B018


class _Code:
    """Unpickling this runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run by a pickle",))


def test_pickles_are_read_as_plain_tensors_or_not_at_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    before = LatentDiffusion.from_pretrained("image", path)
    names = {"unet": "diffusion_pytorch_model", "text_encoder": "pytorch_model"}
    for part, name in names.items():
        state = dict(getattr(before, part).state_dict())
        for file in (path / part).glob("*.safetensors"):
            file.unlink()
        torch.save(state, path / part / f"{name}.bin")
    decoder = LatentDiffusion.from_pretrained("image", path)
    for part in names:
        for key, value in getattr(before, part).state_dict().items():
            assert torch.equal(getattr(decoder, part).state_dict()[key], value), key
    strict = LatentDiffusion.from_pretrained("image", path, use_safetensors=True)
    with pytest.raises(ValueError, match="gives no unet .use_safetensors=True."):
        strict.unet  # noqa: B018
    (path / "unet" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(_Code()))
    with pytest.raises(ValueError, match="gives no unet"):
        LatentDiffusion.from_pretrained("image", path).unet  # noqa: B018
    assert "run by a pickle" not in capsys.readouterr().out


def test_other_text_encoders(tmp_path: Path) -> None:
    """The BERT of the latent diffusion paper, in folders that its repository names in its own way;
    what is not known is refused.
    """
    path = write_tiny_decoder(tmp_path / "d", "image")
    config = LDMBertConfig(
        vocab_size=514,
        max_position_embeddings=8,
        encoder_layers=1,
        encoder_ffn_dim=64,
        encoder_attention_heads=4,
        head_dim=8,
        d_model=32,
    )
    bert = LDMBertModel(config).eval()
    bert.save_pretrained(path / "bert")
    shutil.rmtree(path / "text_encoder")
    (path / "vae").rename(path / "vqvae")
    folders = {"vae": "vqvae", "text_encoder": "bert"}
    decoder = LatentDiffusion.from_pretrained("image", path, subfolders=folders)
    assert decoder.conditioning_shape == (8, 32)
    input_ids = caption_ids(["a cat"], decoder.tokenizer, bert)[0]
    with torch.no_grad():
        torch.testing.assert_close(decoder.encode_captions(["a cat"]), bert(input_ids)[0])
    changed = json.loads((path / "bert" / "config.json").read_text()) | {"model_type": "t5"}
    (path / "bert" / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="text_encoder is a t5; supported: clip_text_model, clap"):
        LatentDiffusion.from_pretrained("image", path, subfolders=folders)


# --- offloading


@pytest.mark.parametrize("modality", PAPER_MODALITIES)
def test_offloaded_networks_visit_the_device_one_after_another(
    modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"vocoder": True} if modality == "audio" else {}
    path = write_tiny_decoder(tmp_path / "d", modality, **options)
    decoder = LatentDiffusion.from_pretrained(modality, path, offload=True)
    visits: list[tuple[str, str]] = []
    move = torch.nn.Module.to

    def record(module: torch.nn.Module, *where: Any, **kwargs: Any) -> Any:
        for name in decoder.in_memory:
            if getattr(decoder, name) is module and where:
                visits.append((name, "away" if where[0] == "cpu" else "on"))
        return move(module, *where, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "to", record)
    for part in ("text_encoder", "unet", "vae", *(["vocoder"] if options else [])):
        getattr(decoder, part)
    visits.clear()
    caption = decoder.encode_captions(["a cat"])
    media = decoder.generate(caption, **STEPS)
    order = ["text_encoder", "unet", "vae", *(["vocoder"] if options else [])]
    assert visits == [(name, state) for name in order for state in ("on", "away")]
    expected = LatentDiffusion.from_pretrained(modality, path).generate(caption, **STEPS)
    np.testing.assert_array_equal(media[0], expected[0])


def test_moving_an_offloaded_decoder_moves_its_work_alone(tmp_path: Path) -> None:
    decoder = LatentDiffusion.from_pretrained(
        "image", write_tiny_decoder(tmp_path / "d", "image"), offload=True
    )
    decoder.vae  # noqa: B018
    decoder.to("meta")
    assert decoder.device == torch.device("meta")
    assert decoder.vae.device == decoder.unet.device == torch.device("cpu")
    decoder.to(torch.float64)
    assert {decoder.vae.dtype, decoder.unet.dtype, decoder.dtype} == {torch.float64}


def test_the_loss_of_an_offloaded_decoder(tmp_path: Path) -> None:
    path = write_tiny_decoder(tmp_path / "d", "image")
    caption = torch.randn(1, 8, 32, requires_grad=True)
    given: dict[str, Any] = {"timesteps": torch.tensor([9]), "noise": torch.randn(1, 4, 8, 8)}
    latents = torch.randn(1, 4, 8, 8)
    gradients: list[torch.Tensor] = []
    for offload in (False, True):
        decoder = LatentDiffusion.from_pretrained("image", path, offload=offload)
        loss = decoder.denoising_loss(caption, latents, **given)
        gradients += torch.autograd.grad(loss.sum(), caption)
    torch.testing.assert_close(*gradients)


def test_a_saved_decoder_does_not_tell_where_it_was_read(tmp_path: Path) -> None:
    write_tiny_decoder(tmp_path / "first", "image")
    LatentDiffusion.from_pretrained("image", tmp_path / "first").save_pretrained(tmp_path / "again")
    said = "".join(path.read_text() for path in (tmp_path / "again").rglob("*.json"))
    assert str(tmp_path) not in said


def test_a_unet_that_wants_more_than_captions_is_refused(tmp_path: Path) -> None:
    """As those of latent-consistency models, which take the guidance scale."""
    folder = write_tiny_decoder(tmp_path / "image", "image")
    path = folder / "unet" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "time_cond_proj_dim": 8}))
    with pytest.raises(ValueError, match=r"captions do not say \(time_cond_proj_dim\)"):
        LatentDiffusion.from_pretrained("image", folder)
