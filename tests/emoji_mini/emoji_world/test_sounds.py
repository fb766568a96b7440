from __future__ import annotations

import numpy as np
import pytest

from emoji_mini.emoji_world.pack import PACK, load_pack
from emoji_mini.emoji_world.render import render, render_sound
from emoji_mini.emoji_world.scenes import ClipScene, PictureScene, SoundScene
from emoji_mini.emoji_world.sounds import SAMPLES, SOUNDS, TAKES
from emoji_mini.emoji_world.synthesis import VOICES, perform
from emoji_mini.emoji_world.things import find_thing


def test_every_sound_has_one_source() -> None:
    for sound in SOUNDS.values():
        assert (sound.source == "synthesis") == (sound.name in VOICES), sound
        assert (sound.source == "soundfont") == (0 <= sound.program <= 128), sound
    phrases = [words for sound in SOUNDS.values() for words in (sound.phrase, *sound.words)]
    assert len(set(phrases)) == len(phrases)
    assert find_thing("rain cloud") is not None


@pytest.mark.parametrize("name", SOUNDS)
def test_takes_are_heard_and_differ(name: str) -> None:
    takes = load_pack().takes(name)
    assert takes.shape == (TAKES, SAMPLES) and takes.dtype == np.float32
    assert (takes.std(1) > 0.005).all()
    likeness = np.asarray(np.corrcoef(takes))[~np.eye(TAKES, dtype=bool)]
    assert likeness.max() < 0.98


def test_instruments_are_not_all_pianos() -> None:
    """The bug this guards against: a program chosen after the first note leaves that to a piano."""

    def spectrum(name: str) -> np.ndarray:
        bands = np.abs(np.fft.rfft(load_pack().takes(name)[:, :8000])).mean(0)
        bands = np.log(bands[:3200].reshape(100, -1).mean(1) + 1e-6)
        return (bands - bands.mean()) / bands.std()

    piano = spectrum("piano")
    for name in ("applause", "helicopter", "maracas"):
        assert np.mean(piano * spectrum(name)) < 0.75, name


def test_a_voice_is_the_same_each_time() -> None:
    assert (perform("dog", 0) == perform("dog", 0)).all()
    assert not (perform("dog", 0) == perform("dog", 1)).all()
    with pytest.raises(ValueError, match="no voice 'gryphon'"):
        perform("gryphon", 0)


def test_two_sounds_in_order() -> None:
    alone = render_sound(SoundScene(sounds=("maracas",), seed=1))
    assert alone.shape == (SAMPLES,) and np.abs(alone).max() <= 1
    pair = render_sound(SoundScene(sounds=("owl", "maracas"), seed=1))
    first, second = pair[: SAMPLES // 2], pair[SAMPLES // 2 :]

    def high(wave: np.ndarray) -> float:
        power = np.abs(np.fft.rfft(wave)) ** 2
        return float(power[len(power) // 2 :].sum() / power.sum())

    assert high(first) < 0.01 < 0.3 < high(second)


def test_render_takes_any_scene() -> None:
    shapes = [
        render(scene).shape
        for scene in (
            PictureScene(object="dog"),
            ClipScene(object="hand", motion="waving"),
            SoundScene(sounds=("dog",)),
        )
    ]
    assert shapes == [(128, 128, 3), (16, 64, 64, 3), (SAMPLES,)]


def test_the_pack_is_small_and_names_its_licences() -> None:
    files = {path.name: path.stat().st_size for path in PACK.iterdir()}
    assert set(files) == {"pictures.zip", "animations.zip", "sounds.zip", "index.json"}
    assert sum(files.values()) <= 12 * 2**20
    licences = (PACK / "index.json").read_text()
    assert all(word in licences for word in ("MIT", "Fluent", "FluidR3", "Apache-2.0"))
