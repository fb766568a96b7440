"""The chat page as files: what is served and how, and what must never stand in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import anyweave
import anyweave.serving.web_page

from .conftest import Served

PAGE = Path(anyweave.serving.web_page.__file__).with_name("page")
FILES = sorted(path for path in PAGE.rglob("*") if path.is_file())
SOURCES = [path for path in FILES if path.suffix in (".js", ".css", ".html", ".svg")]
NAMES = [path.relative_to(PAGE).as_posix() for path in FILES]


@pytest.mark.parametrize("name", ["", *(f"page/{name}" for name in NAMES)])
def test_every_file_is_served_with_its_type_and_policy(served: Served, name: str) -> None:
    kinds = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8"}
    kinds |= {"js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "": ""}
    kinds |= {"png": "image/png", "flac": "audio/flac", "mp4": "video/mp4"}
    reply = served.http().get(f"/{name}")
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == kinds[name.rpartition(".")[2] or "html"]
    policy = dict(
        rule.strip().split(" ", 1) for rule in reply.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["frame-ancestors"] == "'none'" and policy["trusted-types"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert not re.search(r"unsafe|https?:|\*|data:", reply.headers["Content-Security-Policy"])
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=(self), microphone=(self)" in reply.headers["Permissions-Policy"]
    again = served.http().get(f"/{name}", headers={"If-None-Match": reply.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Content-Security-Policy"] == reply.headers["Content-Security-Policy"]


PATHS = ["/page", "/page/", "/page/none.js", "/page/../web_page.py", "/page/%2e%2e/web_page.py"]
PATHS += ["/page/..%2fweb_page.py", "/page//index.html", "/index.html"]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_else_is(served: Served, path: str) -> None:
    reply = served.http().get(path)
    assert reply.status_code == 404 and reply.json()["error"]["message"]
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_page_needs_no_key_but_the_api_does(
    serve: Callable[..., AbstractContextManager[Served]],
) -> None:
    with serve(api_keys=("a-key-of-sixteen-letters",)) as served:
        assert served.http().get("/").status_code == 200
        assert served.http().get("/page/main.js").status_code == 200
        assert served.http().get("/v1/models").status_code == 401


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_fetch_from_nowhere_and_make_no_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    addresses = set(re.findall(r"(?:https?:|['\"(])//[^\s'\")]*", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\(", text)
    assert len(text.splitlines()) < 200
    for imported in re.findall(r'from "\./(.+?)"', text):
        assert (PAGE / imported).is_file()


def test_the_document_names_files_that_exist_and_holds_no_code() -> None:
    text = (PAGE / "index.html").read_text("utf-8")
    named = re.findall(r'(?:src|href)="page/(.+?)"', text)
    assert named and all((PAGE / name).is_file() for name in named)
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]* src=)", text)


def test_the_examples_are_there() -> None:
    text = (PAGE / "examples.js").read_text("utf-8")
    named = set(re.findall(r'file: "(.+?)"', text))
    assert named == {path.name for path in (PAGE / "examples").iterdir()}
    assert sum((PAGE / "examples" / name).stat().st_size for name in named) < 120_000


@pytest.mark.slow
def test_emoji_mini_keeps_what_the_examples_promise() -> None:
    text = (PAGE / "examples.js").read_text("utf-8")
    found = re.findall(r'to: \[(.*?)\],\s*say: "(.*?)"(?:, file: "(.*?)")?', text)
    assert len(found) == 9
    model = anyweave.load("emoji-mini")
    kinds = {"png": anyweave.Image, "flac": anyweave.Audio, "mp4": anyweave.Video}
    for promised, words, file in found:
        given = [kinds[file.rpartition(".")[2]](PAGE / "examples" / file)] if file else []
        reply = model.chat().reply([*given, words], temperature=0, decode_media=False)
        assert reply.text
        assert [part.modality for part in reply.media()] == re.findall(r"\w+", promised), words
