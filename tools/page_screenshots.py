"""Hold a conversation on the chat page with emoji-mini and save screenshots in docs/assets."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import PIL.Image
from playwright.sync_api import Page, sync_playwright

import anyweave
from anyweave.serving import Settings, create_app
from anyweave.serving.server import Running, bind

ASSETS = Path(__file__).resolve().parent.parent / "docs" / "assets"
DESKTOP, PHONE = (1280, 1130), (390, 844)
OPTIONS = '{"seed": 5}'


def main(folder: Path = ASSETS) -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no chromium: apt-get install chromium", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with served() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(device_scale_factor=1.5)
        page.set_default_timeout(300_000)
        show(page, DESKTOP)
        page.goto(url)
        page.get_by_text("emoji-mini").wait_for()
        take(page, folder / "page-welcome.webp")
        page.evaluate("kept => localStorage.setItem('anyweave.options', kept)", OPTIONS)
        page.get_by_role("button", name="Show me a bee").click()
        page.locator(".panel").wait_for()
        show(page, PHONE)
        take(page, folder / "page-phone.webp")
        show(page, DESKTOP, "dark")
        take(page, folder / "page-dark.webp")
        page.locator("summary").click()
        page.locator("#scroll").evaluate("area => { area.scrollTop = area.scrollHeight; }")
        take(page, folder / "page-inside.webp")
        show(page, DESKTOP)
        page.get_by_role("button", name="New conversation").click()
        page.locator(".example-words", has_text=re.compile("^Let me hear")).click()
        page.locator(".panel").wait_for()
        page.get_by_role("radio", name="Clip").check(force=True)  # whatever the seed says
        page.get_by_label("Message", exact=True).fill("Now a clip of it.")
        page.keyboard.press("Enter")
        page.locator(".assistant video").wait_for()
        page.locator(".panel").nth(1).wait_for()
        take(page, folder / "page-light.webp")
        browser.close()
    return 0


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of emoji-mini."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(folder=Path(folder))
        app = create_app(anyweave.load("emoji-mini"), settings)
        urls: list[str] = []
        ready = threading.Event()

        def is_up(url: str) -> None:
            urls.append(url)
            ready.set()

        running = Running(app, settings, bind("127.0.0.1", 0), ready=is_up)
        thread = threading.Thread(target=running.run)
        thread.start()
        if not ready.wait(120):
            raise SystemExit("the server did not start")
        try:
            yield urls[0]
        finally:
            running.stop()
            thread.join()


def show(page: Page, size: tuple[int, int], theme: str = "light") -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")


def take(page: Page, path: Path) -> None:
    page.wait_for_timeout(1500)  # pictures drawn, clips started, animations at rest
    with PIL.Image.open(BytesIO(page.screenshot())) as picture:
        picture.save(path, quality=80, method=6)
    print(path, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ASSETS)
    raise SystemExit(main(parser.parse_args().folder))
