"""The next sound decoder's parts: what is compressed, what is learned, and what judges it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from diffusers import AutoencoderDC

from anyweave.decoders.latent_diffusion import LatentDiffusion
from emoji_mini.emoji_world.scenes import SoundScene
from emoji_mini.emoji_world.sounds import SAMPLES
from emoji_mini.parts import flow
from emoji_mini.parts import sound_autoencoder as autoencoder
from emoji_mini.parts import sound_denoiser as denoiser
from emoji_mini.parts import sound_verifier as verifier
from emoji_mini.parts.fit import FitOptions
from emoji_mini.parts.recipes import measure_named_part

ONE_STEP = FitOptions(steps=1, batch_size=2, checkpoint_every=1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Banks of a few sounds, and an autoencoder of one step."""
    folder = tmp_path_factory.mktemp("parts") / "audio"
    autoencoder.write_bank(folder, size=4, held_out=3)
    autoencoder.train(folder, FitOptions(steps=1, batch_size=4, checkpoint_every=1))
    return folder


def test_the_bank_is_standardised_and_half_of_it_plays_at_another_speed(parts: Path) -> None:
    waves = np.load(parts / "sounds.npy")
    assert waves.shape == (4, SAMPLES) and waves.dtype == np.float16
    mels = autoencoder.mels_of(waves, autoencoder.load_mel(parts))
    assert mels.shape == (4, 1, autoencoder.FRAMES, 64)
    assert abs(float(mels.mean())) < 0.01 and abs(float(mels.std()) - 1) < 0.01
    tone = np.sin(np.arange(SAMPLES) / 5).astype(np.float32)
    other, same = autoencoder.at_other_speeds(np.stack([tone, tone]), np.random.default_rng(0))
    assert np.array_equal(same, tone) and np.abs(other - tone).max() > 0.5


def test_the_autoencoder_shrinks_sixteen_times(parts: Path) -> None:
    vae = AutoencoderDC.from_pretrained(parts / "vae")
    latent = vae.encode(torch.zeros(1, 1, autoencoder.FRAMES, 64)).latent
    assert latent.shape == (1, autoencoder.LATENT_CHANNELS, 16, 4)
    found = autoencoder.measure(parts, 1)
    # After one step it makes noise; Griffin-Lim comes near what it was given.
    assert found["griffin_lim"] < 0.5 < found["autoencoder"]
    assert (parts / "sheet-mels.png").is_file()


def test_training_leaves_a_decoder_that_the_library_opens(parts: Path) -> None:
    denoiser.encode(parts, size=3)
    assert np.load(parts / "latents.npy").shape == (3, autoencoder.LATENT_CHANNELS, 16, 4)
    flow.train(parts, denoiser.build_unet, ONE_STEP)
    verifier.train(parts, size=200)
    told = measure_named_part("sound-denoiser", parts.parent, 2)
    assert "| named right by the verifier | all |" in told and "| 2 sounds | " in told
    assert told.endswith("\n".join((*denoiser.held_out(2)[1], "")))
    wave, rate = soundfile.read(parts / "sheet-sounds" / "00.wav")
    assert len(wave) == SAMPLES and rate == 16_000
    decoder = LatentDiffusion.from_pretrained("audio", parts)
    assert decoder.defaults.num_inference_steps == flow.STEPS and decoder.rate == rate


def test_the_verifier_names_sounds_it_never_heard(tmp_path: Path) -> None:
    """Its accuracy over more of them stands in the project's README."""
    table = verifier.measure(tmp_path, 24)
    assert re.search(r"\| as they are \| (0.9\d|1.00) ", table)


def test_sounds_are_right_in_their_order_alone() -> None:
    scenes = [SoundScene(sounds=("dog", "cat")), SoundScene(sounds=("dog",))]
    found = verifier.score(scenes, [("cat", "dog"), ("dog",)])
    assert found == [{"all": False, "pair": False}, {"all": True, "single": True}]


def test_the_trained_decoder_plays_what_is_asked_for() -> None:
    """Its share over 200 held-out captions stands in the project's README."""
    decoder = LatentDiffusion.from_pretrained("audio", autoencoder.TRAINED, dtype="float32")
    scenes, captions = denoiser.held_out(6)
    waves = flow.make(decoder, captions)
    assert waves.shape == (6, SAMPLES)
    heard = verifier.load_verifier(autoencoder.TRAINED).names(waves)
    assert sum(facts["all"] for facts in verifier.score(scenes, heard)) >= 3
