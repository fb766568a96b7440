"""The public assets the world is made of, fetched by the ordinary package clients into a cache.

Only building the pack needs them (see `pack`); rendering reads the pack, which ships.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from emoji_mini.emoji_world.things import Thing

EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
ANIMATED = tuple(f"@lobehub/fluent-emoji-anim-{part}@1.0.0" for part in (1, 2, 3, 4))
SOUNDFONT = "fluid-soundfont-gm"
_FETCHED_WITH = ("npm", "apt-get", "dpkg", "fluidsynth")


def cache_folder() -> Path:
    """Where fetched packages are kept: ``$EMOJI_WORLD_CACHE``, or a folder of the user's cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return Path(os.environ.get("EMOJI_WORLD_CACHE", home / "emoji_world"))


def emoji_folder() -> Path:
    """Fetch every still emoji (over 3,000, in the world or not) and return their folder."""
    _need("npm")
    _unpack_npm(EMOJI, cache_folder() / _folder(EMOJI))
    return cache_folder() / _folder(EMOJI) / "package" / "assets"


def _need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise ValueError(
            f"fetching the world's assets needs {', '.join(missing)}, not installed here; the pack "
            "and the trained parts ship with the project, so this is needed only to change them"
        )


def fetch() -> Path:
    """Fetch what is not in the cache yet (about 900 MB) and return the cache.

    Raises `ValueError` naming the client that is missing or the command that failed.
    """
    _need(*_FETCHED_WITH)
    cache = cache_folder()
    for package in (EMOJI, *ANIMATED):
        _unpack_npm(package, cache / _folder(package))
    if not list((cache / SOUNDFONT).rglob("*.sf2")):
        cache.mkdir(parents=True, exist_ok=True)
        run("apt-get", "download", SOUNDFONT, cwd=cache)
        archive = next(cache.glob(f"{SOUNDFONT}_*.deb"))
        run("dpkg", "-x", str(archive), SOUNDFONT, cwd=cache)
        archive.unlink()
    return cache


def sprite_file(thing: Thing) -> Path:
    """The still picture of a thing in the cache, 256 x 256 WebP."""
    return _find(thing, (EMOJI,))


def animation_file(thing: Thing) -> Path:
    """The animated picture of a thing in the cache, 256 x 256 WebP of 48 to 73 frames."""
    return _find(thing, ANIMATED)


def soundfont_file() -> Path:
    """The General MIDI sound font in the cache."""
    return next((cache_folder() / SOUNDFONT).rglob("*.sf2"))


def run(*command: str, cwd: Path) -> None:
    """Run a client. Raises `ValueError` with the end of its stderr when it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"{' '.join(command)} failed: {done.stderr.strip()[-400:]}")


def _folder(package: str) -> str:
    return package.split("/")[1]


def _unpack_npm(package: str, folder: Path) -> None:
    if folder.is_dir():
        return
    staging = folder.with_name(folder.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    run("npm", "pack", "--silent", package, cwd=staging)
    archive = next(staging.glob("*.tgz"))
    with tarfile.open(archive) as tar:
        tar.extractall(staging, filter="data")
    archive.unlink()
    staging.rename(folder)


def _find(thing: Thing, packages: tuple[str, ...]) -> Path:
    """A thing's file; some files' names carry the variation selector, some do not."""
    points = [f"{ord(character):x}" for character in thing.emoji]
    plain = [point for point in points if point != "fe0f"]
    for package in packages:
        assets = cache_folder() / _folder(package) / "package" / "assets"
        for code in (points, plain, [*plain, "fe0f"]):
            file = assets / f"{'-'.join(code)}.webp"
            if file.is_file():
                return file
    raise ValueError(
        f"no picture of {thing.name!r} ({thing.emoji}, {'-'.join(points)}) in {packages}"
    )
