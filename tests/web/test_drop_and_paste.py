"""Tests dropped and pasted files and addresses in Chromium, and the bar that shows how far an upload is."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.web.browser import (
    Chrome,
    allow_clipboard,
    click,
    console_errors,
    find_all,
    look,
    requires_chromium,
    run_async,
    shown,
    texts,
    type_keys,
    value_of,
    visible,
    wait_until,
)
from tests.web.conftest import Running
from tests.web.fakes import PIECES

pytestmark = requires_chromium

ADDRESS = "https://handbook.example/travel"


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.md"
    path.write_text("# Note")
    return path


async def drag(driver: Chrome, kind: str, *files: Path) -> None:
    """Let the browser process a drag of files from the desktop: ``dragEnter``, ``dragOver`` or ``drop``."""
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    event = {"type": kind, "x": 400, "y": 300, "data": data}
    await look(driver, lambda driver: driver.execute_cdp_cmd("Input.dispatchDragEvent", event))


async def paste(driver: Chrome, script: str) -> None:
    """Put something on the clipboard by script, and press the keys that paste it into the question box."""
    await allow_clipboard(driver)
    await run_async(driver, script)
    await type_keys(driver, Keys.CONTROL, "v", Keys.NULL)


async def test_files_dropped_on_the_first_page_become_documents(page: Running, chrome: Chrome, note: Path) -> None:
    await drag(chrome, "dragEnter", note)
    await wait_until(chrome, lambda driver: texts(driver, "#drop") == ["Drop to add to the documents"])
    assert await visible(chrome, "drop")
    await drag(chrome, "dragOver", note)
    await drag(chrome, "drop", note)
    await wait_until(chrome, lambda driver: "Added note.md, 6 bytes." in "".join(texts(driver, ".msg.command")))
    assert not await visible(chrome, "drop")
    assert await shown(chrome, "#attachments li") == []
    assert await look(chrome, console_errors) == []


async def test_files_dropped_in_a_conversation_are_attached(page: Running, chrome: Chrome, note: Path) -> None:
    page.release(len(PIECES))
    await type_keys(chrome, "What is the limit?", Keys.ENTER)
    await wait_until(chrome, lambda driver: find_all(driver, ".msg.assistant.final"))
    await drag(chrome, "dragEnter", note)
    await wait_until(chrome, lambda driver: texts(driver, "#drop") == ["Drop to attach to your question"])
    await drag(chrome, "dragOver", note)
    await drag(chrome, "drop", note)
    await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["note.md"])
    assert await shown(chrome, ".msg.command") == []
    page.release(len(PIECES))
    await type_keys(chrome, "What does it say?", Keys.ENTER)
    await wait_until(chrome, lambda driver: len(find_all(driver, ".msg.assistant.final")) == 2)
    attached = page.dispatcher.asked[-1].attachments
    assert [(one.name, await one.read()) for one in attached] == [("note.md", b"# Note")]
    assert await look(chrome, console_errors) == []


async def test_a_pasted_picture_is_attached(chrome: Chrome) -> None:
    await paste(
        chrome,
        """new Promise((resolve) => document.createElement("canvas").toBlob(resolve, "image/png"))
           .then((picture) => navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]))""",
    )
    await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["image.png"])
    assert await value_of(chrome, "#question") == ""


async def test_a_pasted_address_is_offered_as_a_document(chrome: Chrome) -> None:
    await paste(chrome, f"navigator.clipboard.writeText('{ADDRESS}')")
    await wait_until(chrome, lambda driver: driver.find_element("id", "offer").is_displayed())
    assert await value_of(chrome, "#question") == ADDRESS
    await type_keys(chrome, " and its rules?")
    assert not await visible(chrome, "offer"), "a sentence is a question"


async def test_a_dropped_address_is_offered_as_a_document(chrome: Chrome) -> None:
    drop = """
        const dragged = new DataTransfer();
        dragged.setData("text/uri-list", arguments[0]);
        for (const kind of ["dragenter", "dragover", "drop"]) {
          const event = { dataTransfer: dragged, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent(kind, event));
        }
    """
    await look(chrome, lambda driver: driver.execute_script(drop, ADDRESS))
    assert await value_of(chrome, "#question") == ADDRESS
    await click(chrome, "#offer button")
    await wait_until(chrome, lambda driver: f"/ingest {ADDRESS}" in texts(driver, ".msg.user .body"))
    assert not await visible(chrome, "offer")
    assert await look(chrome, console_errors) == []


async def test_a_bar_shows_how_far_an_upload_is(chrome: Chrome, tmp_path: Path) -> None:
    """The page reports to a script every value that a bar takes, because a local upload takes no time."""
    large = tmp_path / "large.md"
    large.write_bytes(b"x" * 1_000_000)
    watch = """
        window.values = [];
        new MutationObserver((changes) => {
          for (const { addedNodes } of changes) {
            for (const node of addedNodes) {
              const bar = node.querySelector?.("progress");
              if (!bar) continue;
              const place = Object.getOwnPropertyDescriptor(HTMLProgressElement.prototype, "value");
              window.values.push([node.textContent, bar.getAttribute("aria-label"), bar.max]);
              Object.defineProperty(bar, "value", {
                set(value) { window.values.push(value); place.set.call(this, value); },
              });
            }
          }
        }).observe(document.getElementById("uploads"), { childList: true });
    """
    await look(chrome, lambda driver: driver.execute_script(watch))
    await type_keys(chrome, str(large), into="#file")
    await wait_until(chrome, lambda driver: texts(driver, "#attachments li") == ["large.md"])
    (shown_as, *values) = await look(chrome, lambda driver: driver.execute_script("return window.values"))
    assert shown_as == ["large.md", "Uploading large.md.", 1]
    assert values == sorted(values)
    assert values[-1] == 1
    assert await shown(chrome, "#uploads li") == [], "the bar goes away"
