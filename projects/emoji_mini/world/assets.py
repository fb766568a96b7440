"""The pack: every picture and sound of the world in one small folder that ships with the project.

`build_pack` makes it from openly licensed public assets with the ordinary package clients (``npm
pack``, ``apt-get download``) and `fluidsynth`; `load_pack` reads it. Nobody needs to build it to
use the project.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from anyweave.files import check_new, read_object, replaced_folder, settle, write_json
from emoji_mini.midi import TICKS_PER_SECOND, midi_file
from emoji_mini.world.catalogue import AUDIO_SAMPLES, NUM_TAKES, OBJECTS, SAMPLE_RATE, SOUNDS
from emoji_mini.world.synthesis import perform

logger = logging.getLogger(__name__)

PACK = Path(__file__).parent / "pack"
SPRITE_SIZE = 128
EMOJI_PACKAGE = "@lobehub/fluent-emoji-3d@1.1.0"
SOUNDFONT_PACKAGE = "fluid-soundfont-gm"
LICENCES = {
    "sprites.webp": f"npm {EMOJI_PACKAGE}: Microsoft Fluent Emoji, MIT",
    "sounds (General MIDI)": f"Debian {SOUNDFONT_PACKAGE}: FluidR3_GM, MIT, played by fluidsynth",
    "sounds (animals)": "emoji_mini.world.synthesis: made by this project, Apache-2.0",
}


@dataclass(frozen=True)
class Pack:
    """`sprites` maps an object's name to ``uint8[128, 128, 4]``; `takes` a sound's name to
    ``float32[NUM_TAKES, S]``.
    """

    sprites: dict[str, NDArray[np.uint8]]
    takes: dict[str, NDArray[np.float32]]


@lru_cache(maxsize=2)
def load_pack(folder: Path = PACK) -> Pack:
    """Read the pack. Raises `ValueError` if it is missing, saying how to build it."""
    settle(folder)
    index_file = folder / "index.json"
    if not index_file.is_file():
        raise ValueError(f"no world pack in {folder}; build it with: anyweave data world")
    index = read_object(index_file)
    with Image.open(folder / "sprites.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGBA"))
    sprites = {}
    for number, name in enumerate(index["objects"]):
        top, left = (n * SPRITE_SIZE for n in divmod(number, index["columns"]))
        sprites[name] = pixels[top : top + SPRITE_SIZE, left : left + SPRITE_SIZE]
    takes = {}
    for name in index["sounds"]:
        wave, _ = soundfile.read(folder / f"{name}.ogg", dtype="float32")
        wave = np.clip(wave, -1, 1)[: NUM_TAKES * AUDIO_SAMPLES]
        wave = np.pad(wave, (0, NUM_TAKES * AUDIO_SAMPLES - len(wave)))
        takes[name] = wave.reshape(NUM_TAKES, AUDIO_SAMPLES)
    return Pack(sprites, takes)


def build_pack(target: Path = PACK, work: Path | None = None) -> dict[str, int]:
    """Fetch the public assets and write the pack; returns the size in bytes of each file.

    Needs `npm`, `apt-get` with `dpkg`, and `fluidsynth` on the path. Raises `ValueError` naming
    what is missing, or if `target` holds something that is no pack.
    """
    _check_target(target)
    for tool in ("npm", "apt-get", "dpkg", "fluidsynth"):
        if shutil.which(tool) is None:
            raise ValueError(
                f"building the world pack needs {tool!r}, which is not installed; "
                "the project ships a ready pack, so this is needed only to change it"
            )
    with tempfile.TemporaryDirectory() as scratch:
        folder = work or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        emoji = _fetch_emoji(folder)
        soundfont = _fetch_soundfont(folder)
        with replaced_folder(target) as staging:
            columns = _write_sprites(emoji, staging)
            for name in SOUNDS:
                _write_takes(name, soundfont, folder, staging)
            index = {
                "objects": list(OBJECTS),
                "sounds": list(SOUNDS),
                "columns": columns,
                "licences": LICENCES,
            }
            write_json(staging / "index.json", index, indent=1)
    return {path.name: path.stat().st_size for path in sorted(target.iterdir())}


def _check_target(target: Path) -> None:
    """An earlier pack is replaced; any other folder with something in it is somebody's."""
    target.parent.mkdir(parents=True, exist_ok=True)
    settle(target)
    if not (target / "index.json").is_file() or not (target / "sprites.webp").is_file():
        check_new(target)


def _run(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")


def _fetch_emoji(folder: Path) -> Path:
    if not (folder / "package" / "assets").is_dir():
        _run("npm", "pack", "--silent", EMOJI_PACKAGE, cwd=folder)
        archive = next(folder.glob("lobehub-fluent-emoji-3d-*.tgz"))
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder / "package" / "assets"


def _fetch_soundfont(folder: Path) -> Path:
    if not list(folder.rglob("*.sf2")):
        _run("apt-get", "download", SOUNDFONT_PACKAGE, cwd=folder)
        package = next(folder.glob(f"{SOUNDFONT_PACKAGE}_*.deb"))
        _run("dpkg", "-x", str(package), "soundfont", cwd=folder)
    return next(folder.rglob("*.sf2"))


def _write_sprites(emoji: Path, staging: Path) -> int:
    columns = 8
    rows = -(-len(OBJECTS) // columns)
    sheet = Image.new("RGBA", (columns * SPRITE_SIZE, rows * SPRITE_SIZE))
    for number, kind in enumerate(OBJECTS.values()):
        file = emoji / f"{kind.code}.webp"
        if not file.is_file():
            raise ValueError(f"{EMOJI_PACKAGE} has no picture {file.name} for {kind.name!r}")
        with Image.open(file) as picture:
            sprite = picture.convert("RGBA").resize(
                (SPRITE_SIZE, SPRITE_SIZE), Image.Resampling.LANCZOS
            )
        row, column = divmod(number, columns)
        sheet.paste(sprite, (column * SPRITE_SIZE, row * SPRITE_SIZE))
    sheet.save(staging / "sprites.webp", quality=90)
    return columns


def _write_takes(name: str, soundfont: Path, work: Path, staging: Path) -> None:
    program = SOUNDS[name].program
    waves = []
    for take in range(NUM_TAKES):
        rng = np.random.default_rng([take, *name.encode()])
        if program is None:
            waves.append(perform(name, rng))
        else:
            waves.append(_play(name, program, rng, soundfont, work))
    soundfile.write(
        staging / f"{name}.ogg", np.concatenate(waves), SAMPLE_RATE, format="OGG", subtype="VORBIS"
    )


def _play(
    name: str, program: int, rng: np.random.Generator, soundfont: Path, work: Path
) -> NDArray[np.float32]:
    """Play a short phrase on a General MIDI instrument with fluidsynth."""
    midi, wav = work / "phrase.mid", work / "phrase.wav"
    midi.write_bytes(_phrase(name, program, rng))
    command = ("fluidsynth", "-ni", "-q", "-g", "0.7", "-r", str(SAMPLE_RATE), "-F", str(wav))
    _run(*command, str(soundfont), str(midi), cwd=work)
    wave, _ = soundfile.read(wav, dtype="float32", always_2d=True)
    mono = wave.mean(1)[:AUDIO_SAMPLES]
    mono = np.pad(mono, (0, AUDIO_SAMPLES - len(mono)))
    return (mono / (np.abs(mono).max() + 1e-9) * 0.8).astype(np.float32)


_EFFECTS = {"bird": 2, "telephone": 1, "helicopter": 1, "applause": 1, "waves": 1}  # notes held


def _phrase(name: str, program: int, rng: np.random.Generator) -> bytes:
    """A MIDI file of about two seconds."""
    drums = program == 128
    channel = 9 if drums else 0
    notes: list[tuple[float, float, int, int]] = []  # start s, length s, key, velocity
    if name in _EFFECTS:
        key = int(rng.integers(55, 68))
        length = 2.0 / _EFFECTS[name]
        notes = [(n * length, length * 0.95, key, 110) for n in range(_EFFECTS[name])]
    else:
        root = int(rng.integers(52, 67)) if not drums else 0
        beats = int(rng.integers(3, 7)) if not drums else int(rng.integers(5, 9))
        step = 1.9 / beats
        scale = (0, 2, 4, 7, 9, 12)
        for beat in range(beats):
            key = int(rng.choice((36, 38, 38, 41, 45))) if drums else root + int(rng.choice(scale))
            notes.append((beat * step, step * 0.9, key, int(rng.integers(80, 120))))
    events: list[tuple[int, bytes]] = []
    if not drums:
        events.append((0, bytes([0xC0 | channel, program])))
    for start, length, key, velocity in notes:
        events.append((int(start * TICKS_PER_SECOND), bytes([0x90 | channel, key, velocity])))
        end = int((start + length) * TICKS_PER_SECOND)
        events.append((end, bytes([0x80 | channel, key, 0])))
    return midi_file(sorted(events, key=lambda event: event[0]))
