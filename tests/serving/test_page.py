"""The chat page in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any, Protocol, cast

import pytest

import anyweave
import anyweave.serving.web_page
from anyweave.generation import ChatSession, GenerationOptions, Progress
from anyweave.generation.events import Event
from anyweave.messages import Message
from anyweave.serving.engine import Engine

from .conftest import Served

sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium")
EXAMPLES = Path(anyweave.serving.web_page.__file__).parent / "page" / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium"),
]

Serve = Callable[..., AbstractContextManager[Served]]


class Visit(Protocol):
    """Opens a page; `wrong` is all that went wrong in any of them."""

    wrong: list[str]

    def __call__(self, url: str, **options: Any) -> Any: ...


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    flags += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """`visit(url)`: a page in a browser of its own, in which nothing may go wrong unseen and
    nothing may be fetched from elsewhere.
    """
    wrong: list[str] = []
    with ExitStack() as stack:

        def opened(url: str, **options: Any) -> Any:
            context = browser.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(30_000)

            def asked(request: Any) -> None:
                if not request.url.startswith((url, "blob:", "data:")):
                    wrong.append(request.url)

            def logged(line: Any) -> None:
                if line.type == "error":
                    wrong.append(line.text)

            page.on("request", asked)
            page.on("pageerror", lambda error: wrong.append(str(error)))
            page.on("console", logged)
            page.goto(url)
            page.get_by_role("button", name="Show me a bee").wait_for()
            return page

        visiting = cast("Visit", opened)
        visiting.wrong = wrong
        yield visiting
        assert not wrong


class Slow(Engine):
    """Takes its time for each step, so that there is something to stop."""

    def __init__(self, engine: Engine) -> None:
        vars(self).update(vars(engine))

    def send(
        self, session: ChatSession, message: Message, options: GenerationOptions, **how: Any
    ) -> Generator[Event, None, None]:
        with closing(super().send(session, message, options, **how)) as events:
            for event in events:
                yield event
                if isinstance(event, Progress):
                    time.sleep(1)


@pytest.fixture
def slow(engine: Engine, serve: Serve) -> Iterator[Served]:
    with serve(Slow(engine)) as served:
        yield served


@pytest.fixture
def served(serve: Serve) -> Iterator[Served]:
    """Where the model runs makes no difference to the page."""
    with serve() as served:
        yield served


def say(page: Any, text: str, only: str = "") -> None:
    if only:
        page.get_by_role("radio", name=only).check(force=True)
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def done(page: Any, count: int = 1) -> Any:
    """Wait for the end of the reply number `count`; the last one."""
    replies = page.locator(".message.assistant")
    expect(replies).to_have_count(count)
    expect(replies.last).not_to_have_attribute("data-state", "streaming", timeout=120_000)
    expect(replies.last).to_have_attribute("data-state", "done")
    return replies.last


def scripted(page: Any, *deltas: dict[str, Any], end: str = "data: [DONE]\n\n") -> list[Any]:
    """Answer the next requests with these deltas; the bodies that were sent."""
    events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + end
    sent: list[Any] = []

    def answer(route: Any) -> None:
        sent.append(route.request.post_data_json)
        route.fulfill(body=body, content_type="text/event-stream")

    page.route("**/v1/chat/completions", answer)
    return sent


def test_a_conversation_in_all_media(visit: Visit, serve: Serve) -> None:
    """With emoji-mini: a picture goes in, sound, clip and picture come out, in their order."""
    with (
        closing(Engine(anyweave.load("emoji-mini"))) as engine,
        serve(engine, name="emoji-mini") as served,
    ):
        page = visit(served.url)
        page.get_by_role("button", name="Options of the reply").click()
        page.get_by_label("Steps").fill("4")
        page.get_by_label("Temperature").fill("0")
        page.get_by_role("button", name="Done").click()
        page.locator("#files").set_input_files(EXAMPLES / "sheep.png")
        say(page, "What does it sound like?", "Sound")
        reply = done(page)
        expect(reply.locator(".words")).to_contain_text("sheep")
        expect(reply.get_by_role("button", name="Play: ")).to_be_enabled()
        expect(reply.locator(".sound-bars.played rect")).to_have_count(72)
        reply.locator("summary").click()
        expect(reply.locator(".signals code").first).to_have_text("[AUD0]")
        assert reply.locator(".unit.active").all_text_contents() == [
            *("picture, active", "picture, active", "text, active"),
            "sound, active",  # the decoder, by words: the output projector sleeps
        ]
        assert "sound" in reply.locator(".times").inner_text()
        say(page, "Now a clip of it.", "Clip")
        film = done(page, 2).locator("video")
        assert film.evaluate("film => film.readyState") >= 2
        expect(page.locator("details").first).to_have_attribute("open", "")  # still
        assert len(served.app.desk.conversations) == 1  # it went on, and was not read anew
        page.get_by_role("radio", name="Anything").check(force=True)
        page.get_by_role("button", name="New conversation").click()
        page.get_by_role("button", name="Show me a bee on a beach").click()
        reply = done(page)
        parts = reply.locator(".message-body > *")
        assert parts.evaluate_all("all => all.map((part) => part.tagName)") == [
            *("P", "FIGURE", "P", "FIGURE")
        ]
        picture = reply.get_by_role("img", name="a bee on a beach")
        assert picture.evaluate("image => image.naturalWidth") == 128


def test_a_clip_is_seen_in_the_making(visit: Visit, slow: Served) -> None:
    page = visit(slow.url)
    page.evaluate("localStorage.setItem('anyweave.options', '{\"num_inference_steps\": 9}')")
    say(page, "a clip", "Clip")
    preview = page.locator(".medium.video .preview")
    expect(preview).to_be_visible(timeout=60_000)
    width = "image => image.decode().then(() => image.naturalWidth)"
    assert preview.evaluate(width) == 8  # a pixel for every latent cell
    done(page)
    expect(preview).to_have_count(0)


def test_a_clip_that_the_browser_cannot_play_is_offered_as_a_file(
    visit: Visit, served: Served
) -> None:
    page = visit(served.url)
    say(page, "a clip", "Clip")
    film = done(page).locator("video")
    film.evaluate("film => { film.src = URL.createObjectURL(new Blob(['no clip'])); }")
    frame = page.locator(".medium.video .medium-frame")
    expect(frame).to_contain_text("This browser cannot show this clip.")
    expect(frame.locator("a[download]")).to_have_attribute("download", re.compile(r"\.mp4$"))


def test_stop_then_ask_again(visit: Visit, slow: Served) -> None:
    page = visit(slow.url)
    say(page, "a clip", "Clip")
    page.locator(".medium.video").wait_for()
    page.get_by_role("button", name="Stop").click()
    reply = page.locator(".message.assistant")
    expect(reply).to_have_attribute("data-state", "stopped")
    expect(reply).to_contain_text("No clip: the reply ended before")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    page.get_by_role("button", name="Ask again").click()
    expect(reply.locator(".versions")).to_have_text("2 / 2", timeout=60_000)
    done(page)
    page.get_by_role("button", name="Earlier version").click()
    expect(reply.locator(".versions")).to_have_text("1 / 2")
    expect(reply).to_have_attribute("data-state", "stopped")
    scheduler = slow.app.desk.scheduler
    assert scheduler.running == scheduler.waiting == 0


def test_history_survives_a_reload(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    page.locator("#files").set_input_files([EXAMPLES / "sheep.png", EXAMPLES / "piano.flac"])
    say(page, "first words", "Picture")
    done(page)
    page.reload()
    expect(page.locator(".user")).to_contain_text("first words")
    shown = page.locator(".assistant .medium img")
    expect(shown).to_have_count(1)
    assert shown.evaluate("image => image.naturalWidth") > 0
    expect(page.locator(".user .sound-bars").first).to_be_visible()
    page.locator(".user").hover()
    page.get_by_role("button", name="Edit and send again").click()
    page.get_by_label("Edit your message", exact=True).last.fill("other words")
    page.get_by_role("button", name="Send again").click()
    done(page)
    expect(page.locator(".user .words")).to_have_text("other words")
    expect(page.locator(".user .versions")).to_have_text("2 / 2")
    with page.expect_download() as saved:
        page.locator(".history-list li").hover()
        page.get_by_role("button", name="Export: first words").click()
    exported = json.loads(Path(saved.value.path()).read_text("utf-8"))
    assert [part["type"] for part in exported["messages"][0]["content"]] == [
        *("image_url", "audio_url", "text")
    ]
    assert saved.value.suggested_filename == "first-words.json"
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator("#welcome")).to_be_visible()
    page.go_back()
    expect(page.locator(".user .words")).to_have_text("other words")
    page.locator(".history-list li").hover()
    page.get_by_role("button", name="Delete: first words").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator(".history-list li")).to_have_count(0)
    page.reload()
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator(".history-list li")).to_have_count(0)


def test_while_a_reply_is_made_nothing_else_begins_and_all_can_be_deleted(
    visit: Visit, slow: Served
) -> None:
    page = visit(slow.url)
    say(page, "a clip", "Clip")
    page.locator(".medium.video").wait_for()
    say(page, "and then")  # Enter sends nothing now, and stops nothing
    reply = page.locator(".message.assistant")
    page.locator(".user").hover()
    page.get_by_role("button", name="Edit and send again").click()
    expect(page.locator("#notice")).to_contain_text("A reply is being made")
    expect(reply).to_have_attribute("data-state", "streaming")
    expect(page.locator(".user")).to_have_count(1)
    page.get_by_role("button", name="Options of the reply").click()
    page.get_by_role("button", name="Delete all conversations").click()
    page.get_by_role("button", name="Delete all", exact=True).click()
    expect(page.locator("#welcome")).to_be_visible()
    page.wait_for_function("() => !document.querySelector('.history-list li')")
    page.wait_for_timeout(1500)  # the reply has ended by now
    expect(page.locator(".history-list li")).to_have_count(0)
    page.reload()
    expect(page.locator("#welcome")).to_be_visible()


def test_what_is_edited_stays_while_another_reply_is_made(visit: Visit, slow: Served) -> None:
    page = visit(slow.url)
    say(page, "first words", "Text")
    done(page)
    page.locator(".user").hover()
    page.get_by_role("button", name="Edit and send again").click()
    page.get_by_label("Edit your message", exact=True).last.fill("other words")
    say(page, "a clip", "Clip")
    page.locator(".medium.video").wait_for()
    page.get_by_role("button", name="Send again", exact=True).click()
    expect(page.locator("#notice")).to_contain_text("A reply is being made")
    expect(page.get_by_label("Edit your message", exact=True).last).to_have_value("other words")


def test_a_page_that_is_closed_in_the_middle_says_so(visit: Visit, slow: Served) -> None:
    page = visit(slow.url)
    say(page, "a clip", "Clip")
    page.locator(".medium.video").wait_for()
    page.reload()
    reply = page.locator(".message.assistant")
    expect(reply).to_have_attribute("data-state", "stopped")
    expect(reply).to_contain_text("Stopped here.")
    page.get_by_role("button", name="Ask again").click()
    done(page)
    expect(reply.locator(".versions")).to_have_text("2 / 2")


def focused(page: Any) -> str:
    return page.evaluate(
        "() => document.activeElement.getAttribute('aria-label')"
        " ?? document.activeElement.closest('label')?.textContent"
        " ?? document.activeElement.textContent.trim()"
    )


def test_by_keyboard_alone(visit: Visit, slow: Served) -> None:
    page = visit(slow.url)
    assert focused(page) == "Message"
    page.keyboard.type("hello")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("there")
    page.keyboard.press("Tab")  # attach, microphone, camera, then the answers
    seen = [focused(page)]
    for _ in range(3):
        page.keyboard.press("Tab")
        seen.append(focused(page))
    assert seen == [
        *("Attach pictures, sounds or clips", "Record a sound", "Use the camera", "Anything")
    ]
    page.keyboard.press("ArrowLeft")
    assert focused(page) == "Clip"
    assert (
        page.evaluate(
            "() => getComputedStyle(document.activeElement.nextElementSibling).outlineStyle"
        )
        == "solid"
    )
    page.keyboard.press("Enter")  # sends, as in every form
    page.locator(".medium.video").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".assistant")).to_have_attribute("data-state", "stopped")
    expect(page.locator("#status")).to_have_text("Stopped")
    expect(page.locator(".user .words")).to_have_text("hello\nthere")
    page.reload()
    page.locator(".user").wait_for()
    first = page.locator("a[href], button, textarea, input").first
    expect(first).not_to_be_in_viewport()
    first.focus()
    expect(first).to_be_in_viewport()
    assert focused(page) == "Skip to the message field"
    page.keyboard.press("Enter")
    assert focused(page) == "Message"
    expect(page.locator(".user .words")).to_have_text("hello\nthere")  # still here
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Copy the words"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "Ask again"
    page.keyboard.press("Enter")
    expect(page.locator(".assistant .versions")).to_have_text("2 / 2", timeout=60_000)


def test_dropped_and_pasted(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    give = """([kind, where]) => {
      const files = new DataTransfer();
      files.items.add(new File(["GIF89a"], "one.gif", { type: "image/gif" }));
      files.items.add(new File(["words"], "notes.txt", { type: "text/plain" }));
      const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: files,
        bubbles: true, cancelable: true }) : new DragEvent("drop", { dataTransfer: files,
        bubbles: true, cancelable: true });
      document.querySelector(where).dispatchEvent(event);
    }"""
    for count, how in enumerate([["drop", "main"], ["paste", "#words"]], 1):
        page.evaluate(give, how)
        expect(page.locator(".attachment")).to_have_count(count)
        expect(page.locator("#notice")).to_have_text("Not a picture, sound or clip: notes.txt")
    page.get_by_role("button", name="Remove one.gif").first.click()
    expect(page.locator(".attachment")).to_have_count(1)


def test_recorded(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    page.get_by_role("button", name="Record a sound").click()
    page.get_by_text("1 s").wait_for()
    page.get_by_role("button", name="End the recording").click()
    expect(page.locator(".attachment-sound")).to_contain_text("recording.webm")
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take a picture").click()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Record a clip").click()
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="End the clip").click()
    expect(page.locator(".attachment")).to_have_count(3)
    say(page, "what are these?")
    done(page)  # the server could read all three
    assert page.locator(".user figure").evaluate_all(
        "all => all.map((figure) => figure.classList[1])"
    ) == ["audio", "image", "video"]


def test_what_goes_wrong_is_said(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    error = {"error": {"message": "three is too many", "type": "invalid_request_error"}}
    answers = [(429, {"Retry-After": "1"}), (400, {}), None]

    def answer(route: Any) -> None:
        this = answers.pop(0)
        if this is None:
            route.abort()
        else:
            route.fulfill(status=this[0], headers=this[1], json=error)

    page.route("**/v1/chat/completions", answer)
    say(page, "hello")
    page.get_by_text("The server is busy: asking again in 1 s").wait_for()
    expect(page.locator(".trouble")).to_have_text("three is too many")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".trouble")).to_contain_text("The server cannot be reached")
    assert not answers
    page.unroute("**/v1/chat/completions")
    scripted(page, {"content": "half a"}, end="")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator(".trouble")).to_contain_text("ended before the reply did")
    expect(page.locator(".assistant .words")).to_have_text("half a")
    visit.wrong[:] = [text for text in visit.wrong if "Failed to load resource" not in text]


def test_words_are_never_markup(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    sent = scripted(
        page,
        {"content": evil},
        {"progress": {"part_id": "p", "step": 0, "total": None, "modality": "image"}},
        {"content": " and 🦊 after"},
        {
            "images": [
                {"type": "image_url", "id": "p", "caption": evil, "image_url": {"url": PIXEL}}
            ]
        },
    )
    say(page, evil)
    reply = done(page)
    assert reply.locator(".words").all_inner_texts() == [evil, "and 🦊 after"]
    expect(reply.locator(".medium-caption")).to_have_text(evil)
    expect(page.locator(".user .words")).to_have_text(evil)
    expect(page.locator(".history-title")).to_contain_text("<img")
    page.get_by_role("button", name="Enlarge").click()
    page.keyboard.press("Escape")
    say(page, "go on", "Sound")
    done(page, 2)
    first, second = sent
    assert "force" not in first and second["force"] == ["audio"]
    assert second["modalities"] == ["text", "audio"] and second["seed"] != first["seed"]
    assert second["messages"][1] == {
        "role": "assistant",
        "content_parts": [
            {"type": "text", "text": evil},
            {"type": "image_url", "id": "p", "caption": evil},
            {"type": "text", "text": " and 🦊 after"},
        ],
    }


PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9Q"
    "DwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_the_oldest_media_are_left_out_and_it_is_said(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    picture = {"type": "image_url", "caption": "c", "image_url": {"url": PIXEL}}
    sent = scripted(page, {"images": [{**picture, "id": f"p{n}"} for n in range(11)]})
    for count in range(1, 5):
        say(page, f"turn {count}")
        reply = done(page, count)
    assert [len(body["messages"]) for body in sent] == [1, 3, 5, 3]
    expect(reply).to_contain_text("2 earlier exchanges were left out")


def test_what_a_request_may_hold_is_for_the_server_to_say(visit: Visit, serve: Serve) -> None:
    with serve(max_messages=3) as served:
        page = visit(served.url)
        sent = scripted(page, {"content": "I see."})
        for count in range(1, 4):
            say(page, f"turn {count}")
            done(page, count)
    assert [len(body["messages"]) for body in sent] == [1, 3, 1]


def test_what_is_too_large_together_is_left_out(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    sent = scripted(page, {"content": "I see."})
    for count in range(1, 4):
        photo = {"name": "photo.png", "mimeType": "image/png", "buffer": b"\x89PNG" * 2_400_000}
        page.locator("#files").set_input_files(photo)
        say(page, f"turn {count}")
        reply = done(page, count)
    assert [len(body["messages"]) for body in sent] == [1, 3, 1]
    expect(reply).to_contain_text("2 earlier exchanges were left out")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_seen_and_heard_by_everybody(visit: Visit, served: Served, theme: str) -> None:
    """Contrast, names of what can be pressed, one column on a phone."""
    page = visit(served.url, color_scheme=theme, viewport={"width": 390, "height": 800})
    page.locator("#files").set_input_files(EXAMPLES / "piano.flac")
    say(page, "hello", "Picture")
    done(page).locator("summary").click()
    nameless = page.locator("button, input, textarea, video, [role=group], dialog").evaluate_all(
        """all => all.filter((item) => !(item.getAttribute("aria-label") || item.labels?.length
           || item.textContent.trim() || item.getAttribute("aria-labelledby") || item.hidden
           || item.ariaHidden))
           .map((item) => item.outerHTML)"""
    )
    assert not nameless
    assert page.locator("img:not([alt])").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    ratios = page.evaluate(CONTRAST)
    assert min(ratios.values()) >= 4.5, ratios
    expect(page.locator("#history")).not_to_be_in_viewport()
    page.get_by_role("button", name="Conversations").click()
    expect(page.get_by_role("button", name="New conversation")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Conversations")).to_be_focused()
    page.get_by_role("button", name="Colours: as the system").click()
    assert page.evaluate("() => getComputedStyle(document.body).colorScheme") == "light"


CONTRAST = """() => {
  const probe = document.createElement("i");
  document.body.append(probe);
  const canvas = document.createElement("canvas").getContext("2d");
  const light = (name) => {
    probe.style.color = `var(--${name})`;
    canvas.fillStyle = getComputedStyle(probe).color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255)
      .map((value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pairs = ["ink paper", "ink raised", "ink tint", "soft paper", "soft raised", "soft sunk",
    "accent paper", "accent raised", "accent tint", "on-accent accent", "danger raised",
    "danger sunk"];
  return Object.fromEntries(pairs.map((pair) => {
    const [a, b] = pair.split(" ").map(light).sort((x, y) => y - x);
    return [pair, (a + 0.05) / (b + 0.05)];
  }));
}"""


def test_events_are_read_wherever_they_are_cut(visit: Visit, served: Served) -> None:
    page = visit(served.url)
    read = """async ([text, size]) => {
      const { events } = await import("/page/sse.js");
      const bytes = new TextEncoder().encode(text);
      const stream = new ReadableStream({ start(control) {
        for (let at = 0; at < bytes.length; at += size) control.enqueue(bytes.slice(at, at + size));
        control.close();
      } });
      const found = [];
      for await (const event of events(stream)) found.push(event.a);
      return found;
    }"""
    text = (
        ': hello\r\n\r\ndata: {"a": "é🦊"}\r\n\r\nid: 1\ndata: {"a":\ndata: 2}\n\ndata: [DONE]\n\n'
    )
    for size in range(1, len(text.encode()) + 1):
        assert page.evaluate(read, [text, size]) == ["é🦊", 2]
    with pytest.raises(sync_api.Error, match="before the reply did"):
        page.evaluate(read, ['data: {"a": 1}\n\n', 5])
