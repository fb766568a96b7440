from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import pytest
import torch
from transformers.audio_utils import mel_filter_bank as reference_bank

from anyweave.decoders.codecs.mel import MelConfig, griffin_lim, log_mel, mel_filter_bank

RATE = 16_000


def _tone(hz: float, samples: int = 16_384) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hz * torch.arange(samples) / RATE)[None]


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize("area_norm", [True, False])
def test_filters_equal_the_known_ones(scale: Literal["slaney", "htk"], area_norm: bool) -> None:
    config = MelConfig(mel_scale=scale, area_norm=area_norm, fmin=20.0, fmax=7600.0)
    norm = "slaney" if area_norm else None
    expected = reference_bank(513, 64, 20.0, 7600.0, RATE, norm=norm, mel_scale=scale).T
    torch.testing.assert_close(
        mel_filter_bank(config).double(), torch.from_numpy(expected), atol=1e-6, rtol=1e-5
    )


def test_shape_and_loudest_band() -> None:
    config = MelConfig()
    mel = log_mel(_tone(440.0, 32_768), config)
    assert mel.shape == (1, 1, 128, 64)
    band = mel[0, 0, 64].argmax()
    assert mel_filter_bank(config)[band].argmax() * RATE / 1024 == pytest.approx(440, abs=40)
    assert log_mel(torch.zeros(2, 1000), config).shape == (2, 1, 4, 64)
    assert log_mel(torch.zeros(1, 1024), config).max() == pytest.approx(math.log(1e-5))


@pytest.mark.parametrize("hz", [261.6, 440.0, 1500.0])
def test_a_tone_survives_the_round_trip(hz: float) -> None:
    mel = log_mel(_tone(hz))
    wave = griffin_lim(mel)
    assert wave.shape == (1, 16_384)
    spectrum = torch.fft.rfft(wave[0]).abs()
    peak = float(spectrum.argmax()) * RATE / 16_384
    assert peak == pytest.approx(hz, abs=20.0)
    assert float(wave.square().mean().sqrt()) == pytest.approx(0.354, rel=0.3)
    again = log_mel(wave)
    # The same bands sound, about as loud.
    assert (again.argmax(-1) - mel.argmax(-1)).abs().max() <= 1
    assert (again.amax(-1) - mel.amax(-1)).abs().mean() < 0.3


def test_silence_stays_silent() -> None:
    assert griffin_lim(log_mel(torch.zeros(1, 4096))).abs().max() < 1e-4


def test_a_sound_does_not_depend_on_its_batch_and_repeats() -> None:
    mel = log_mel(torch.cat([_tone(300.0, 4096), _tone(900.0, 4096)]))
    together = griffin_lim(mel, num_iterations=8)
    torch.testing.assert_close(
        together[1:], griffin_lim(mel[1:], num_iterations=8), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(together, griffin_lim(mel, num_iterations=8))
    assert (together - griffin_lim(mel, num_iterations=8, seed=1)).abs().max() > 1e-3


def test_standardisation_is_undone() -> None:
    plain, scaled = MelConfig(), MelConfig(mean=-4.0, std=3.0)
    wave = _tone(440.0, 4096)
    torch.testing.assert_close(log_mel(wave, scaled), (log_mel(wave, plain) + 4.0) / 3.0)
    torch.testing.assert_close(
        griffin_lim(log_mel(wave, scaled), scaled, num_iterations=4),
        griffin_lim(log_mel(wave, plain), plain, num_iterations=4),
        atol=1e-3,
        rtol=0,
    )


def test_config_round_trip_and_errors(tmp_path: Path) -> None:
    config = MelConfig(hop_length=160, mel_scale="htk", mean=-5.0)
    config.save(tmp_path / "mel.json")
    assert MelConfig.load(tmp_path / "mel.json") == config
    (tmp_path / "mel.json").write_text(json.dumps({"n_ftt": 4}))
    with pytest.raises(ValueError, match="unknown keys .'n_ftt'."):
        MelConfig.load(tmp_path / "mel.json")
    with pytest.raises(ValueError, match="mel_scale is 'slaney' or 'htk', got 'bark'"):
        MelConfig(mel_scale="bark")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hop_length must be in"):
        MelConfig(hop_length=161)
    with pytest.raises(ValueError, match="need 0 <= fmin < fmax"):
        MelConfig(fmax=9000.0)
    with pytest.raises(ValueError, match="std must be positive"):
        MelConfig(std=0.0)
    with pytest.raises(ValueError, match="too short"):
        log_mel(torch.zeros(1, 200))
    with pytest.raises(ValueError, match="the spectrogram has 32 mel bands, the config 64"):
        griffin_lim(torch.zeros(1, 1, 8, 32))
