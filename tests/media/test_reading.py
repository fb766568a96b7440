"""Every kind of picture, and what containers say about rotation, channels and tracks."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import PIL.Image
import pytest
import soundfile

from anyweave import media
from anyweave.messages import Audio, Image, Video

from .animated import encoded_clip


def saved(picture: PIL.Image.Image, format: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_modes(mode: str) -> None:
    picture = PIL.Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    data = saved(picture, "tiff" if mode in ("CMYK", "YCbCr") else "png")
    np.testing.assert_allclose(media.load(Image(data)), 255, atol=1)


def test_cmyk_jpeg() -> None:
    red = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    np.testing.assert_allclose(media.load(Image(saved(red, "jpeg")))[4, 4], (255, 0, 0), atol=4)


def test_grey_of_16_bits_is_scaled_not_clipped() -> None:
    values = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    loaded = media.load(Image(saved(PIL.Image.fromarray(values))))
    assert loaded[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    clear = PIL.Image.new(mode, (3, 3), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    assert (media.load(Image(saved(clear))) == 255).all()
    assert (media.load(Image(clear)) == 255).all()


@pytest.mark.parametrize("mode", ["RGBA", "PA", "RGBa", "LA", "La", "CMYK", "HSV", "RGBX", "I;16"])
def test_every_mode_of_a_picture_in_memory(mode: str) -> None:
    grey = PIL.Image.new("RGBA", (6, 4), (90, 90, 90, 255))
    picture = {"I;16": lambda: PIL.Image.new("I;16", (6, 4), 90 * 257)}.get(
        mode, lambda: grey.convert("LA").convert("La") if mode == "La" else grey.convert(mode)
    )()
    assert picture.mode == mode
    loaded = media.load(Image(picture))
    assert loaded.shape == (4, 6, 3)
    np.testing.assert_allclose(loaded, 90, atol=2)


def test_half_transparency_is_mixed() -> None:
    red = PIL.Image.new("RGBA", (2, 2), (255, 0, 0, 128))
    np.testing.assert_allclose(media.load(Image(saved(red)))[0, 0], (255, 127, 127), atol=1)


def test_a_transparent_palette_entry_is_white() -> None:
    picture = PIL.Image.new("P", (2, 2), 0)
    picture.putpalette([10, 20, 30] * 256)
    assert (media.load(Image(saved(picture, transparency=0))) == 255).all()


def test_exif_orientation_is_honoured() -> None:
    array = np.zeros((4, 6, 3), np.uint8)
    array[0] = 255  # a white top line
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    loaded = media.load(Image(saved(PIL.Image.fromarray(array), "png", exif=exif)))
    assert loaded.shape == (6, 4, 3)
    assert (loaded[:, -1] == 255).all() and (loaded[:, :-1] == 0).all()


def test_a_still_gif_is_an_image_and_a_clip_of_one_frame() -> None:
    data = saved(PIL.Image.new("RGB", (4, 4), "red"), "gif")
    assert media.load(Image(data)).shape == (4, 4, 3)
    assert media.load(Video(data)).shape == (1, 4, 4, 3)


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_an_animation_is_a_video(format: str) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    data = encoded_clip(frames, 4, format)
    with pytest.raises(media.MediaError, match=r"animation of 3 frames.*Video\("):
        media.load(Image(data))


def test_a_gif_by_pillow_with_uneven_durations() -> None:
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
    data = saved(
        frames[0], "gif", save_all=True, append_images=frames[1:], duration=[100, 300, 200]
    )
    loaded, rate = media.load_video_with_rate(Video(data))
    assert len(loaded) == 3 and rate == pytest.approx(3 / 0.6)
    assert loaded[1, 0, 0].tolist() == [0, 128, 0]


def test_channels_are_averaged() -> None:
    left = np.full(1600, 0.5, np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, np.stack([left, -left / 5], axis=1), 16_000, format="WAV")
    np.testing.assert_allclose(media.load(Audio(buffer.getvalue())), 0.2, atol=1e-4)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_wav_subtypes(subtype: str) -> None:
    samples = np.linspace(-0.9, 0.9, 800, dtype=np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 16_000, format="WAV", subtype=subtype)
    np.testing.assert_allclose(media.load(Audio(buffer.getvalue())), samples, atol=0.03)


def test_a_wav_written_to_a_pipe_has_no_length_and_is_read() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(np.full(1000, 3277, "<i2").tobytes())
    data = bytearray(buffer.getvalue())
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert len(media.load(Audio(bytes(data)))) == 1000


def film(*, with_picture: bool = True, with_sound: bool = True) -> bytes:
    """Half a second of MP4 with a grey picture and a stereo tone."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        if with_picture:
            pictures = container.add_stream("libx264", rate=8)
            pictures.width, pictures.height, pictures.pix_fmt = 32, 16, "yuv420p"
        if with_sound:
            sound = container.add_stream("aac", rate=22_050, layout="stereo")
        if with_picture:
            for _ in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((16, 32, 3), 90, np.uint8), "rgb24")
                container.mux(pictures.encode(frame))
            container.mux(pictures.encode(None))
        if with_sound:
            times = np.arange(11_025) / 22_050
            wave_ = 0.5 * np.sin(2 * np.pi * 440 * times).astype(np.float32)
            samples = av.AudioFrame.from_ndarray(np.stack([wave_, wave_]), "fltp", "stereo")
            samples.sample_rate = 22_050
            container.mux(sound.encode(samples))
            container.mux(sound.encode(None))
    return buffer.getvalue()


def test_the_sound_of_a_film_is_audio() -> None:
    samples = media.load(Audio(film()), sample_rate=16_000)
    assert len(samples) == pytest.approx(8_000, abs=1_100)  # AAC codes blocks of 1,024
    spectrum = np.abs(np.fft.rfft(samples[1000:7000]))
    assert np.argmax(spectrum) * 16_000 / 6000 == pytest.approx(440, abs=3)
    assert media.load(Video(film())).shape == (4, 16, 32, 3)


def test_a_film_without_sound_or_picture() -> None:
    with pytest.raises(media.MediaError, match=r"MP4 has no audio track; pass it as Video"):
        media.load(Audio(film(with_sound=False)))
    with pytest.raises(media.MediaError, match=r"MP4 has no video track; pass it as Audio"):
        media.load(Video(film(with_picture=False)))


def test_the_rotation_flag_of_a_phone_is_honoured() -> None:
    frames = np.zeros((2, 32, 48, 3), np.uint8)
    frames[:, :16] = 255  # the upper half is white
    data = media.encode("video", frames, rate=8, format="mp4")
    upright = b"\0\1\0\0" + bytes(12) + b"\0\1\0\0" + bytes(12) + b"\x40\0\0\0"
    clockwise = bytes(4) + b"\0\1\0\0" + bytes(4) + b"\xff\xff\0\0" + bytes(16) + b"\x40\0\0\0"
    at = data.index(upright, data.index(b"tkhd"))
    turned = media.load(Video(data[:at] + clockwise + data[at + 36 :]))
    assert turned.shape == (2, 48, 32, 3)
    assert turned[0, :, 20:].mean() > 240 and turned[0, :, :12].mean() < 15  # white is on the right
