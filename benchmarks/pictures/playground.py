"""Draws pictures of the playground: screenshots of the real page, engine and sample documents, with a model double.

Needs Chromium with its driver. The embedded PostgreSQL runs in a temporary folder.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docx
from aiohttp import web
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from bot.app import open_app
from bot.config import Settings, load
from bot.jobs import working
from knowledge import sample
from knowledge.sources.source_factory import open_source
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.web.browser import Chrome, browsing, close_idle, find_all, texts, type_keys, wait_until
from tests.web.serving import served

WIDTH, HEIGHT = 1280, 860
DETAIL_PAGE_WIDTH, DETAIL_WIDTH = 1200, 928
MARGIN = 24
COLORS = 128
MAX_BYTES = 50_000_000

QUESTION, FOLLOW_UP = "How much may I spend on a hotel in London?", "And in Oslo?"
STANDALONE = "How much may I spend on a hotel in Oslo?"
CURRENT_RULE, OLD_RULE = "| London, Zurich, Copenhagen | 220 EUR |", "160 EUR per night in every city"
ANSWER = """You may spend up to **220 EUR** a night on a hotel in London, with breakfast and taxes [{current}].

- **Above the limit:** get your team lead's yes before booking [{current}].
- **During a trade fair:** the limit rises by half. Send Finance the fair's web page with the claim [{current}].
- **Booked before 1 March 2026:** the old limit of 160 EUR per night in every city still holds [{old}]."""
SECOND_ANSWER = "In Oslo the limit is **180 EUR** a night, as in Paris, Amsterdam and Lisbon [{current}]."

CONTRACT_QUESTION = "How long is the notice period in this contract?"
NOTICE = "The notice period is three months to the end of a quarter."
SITE_PAGES, SERVED_PAGES = 40, 3


async def draw(main_picture: Path, folder: Path) -> None:
    """Draw the complete page into ``main_picture``, and details of it into ``folder``."""
    with tempfile.TemporaryDirectory() as name:
        await _draw_page(Path(name) / "with-model", main_picture)
        await _draw_details(Path(name) / "without-model", folder)


async def _draw_page(data: Path, target: Path) -> None:
    """Draw two written answers from the sample documents."""
    async with ModelDouble() as double:
        double.script = _write
        settings = load(data_dir=data, anthropic_api_key=double.anthropic_key, anthropic_base_url=double.anthropic_url)
        async with page(settings, WIDTH, sample_documents=True) as driver:
            await ask(driver, QUESTION, 1)
            await ask(driver, FOLLOW_UP, 2)
            save(await screenshot(driver), target)


async def _draw_details(data: Path, folder: Path) -> None:
    """Draw an attached file that is quoted without a model, and the progress of an ingestion."""
    settings = load(data_dir=data, fetch_allow=("127.0.0.1",))
    async with page(settings, DETAIL_PAGE_WIDTH) as driver:
        await _ask_about_a_file(driver, data / "contract.docx")
        await _save_log(driver, folder / "playground-files.png")
    async with _site() as url, page(settings, DETAIL_PAGE_WIDTH) as driver:
        await type_keys(driver, f"/ingest sitemap:{url}/sitemap.xml", Keys.ENTER)
        progress = f"{SERVED_PAGES} of {SITE_PAGES}"
        await wait_until(driver, lambda driver: progress in "".join(texts(driver, ".card .notes")))
        await _save_log(driver, folder / "playground-reading.png")
        await asyncio.to_thread(_click_first, driver, '[data-action="stop"]')


def _write(seen: Seen) -> Reply:
    """Return what the model double answers to each request."""
    text = seen.messages[-1][1]
    if text.startswith('{"messages"'):
        return Reply(json.dumps({"question": STANDALONE, "needs_search": True, "language": "en"}))
    answer = SECOND_ANSWER if FOLLOW_UP in text or STANDALONE in text else ANSWER
    return Reply(answer.format(current=_number_of(CURRENT_RULE, text), old=_number_of(OLD_RULE, text)))


def _number_of(statement: str, prompt: str) -> str:
    """Return the number of the passage that contains a statement; 0 if none does."""
    passages = re.split(r"^\[(\d+)\] ", prompt, flags=re.MULTILINE)
    found = [number for number, text in zip(passages[1::2], passages[2::2], strict=True) if statement in text]
    return found[0] if found else "0"


# --- the page


@asynccontextmanager
async def page(settings: Settings, width: int, *, sample_documents: bool = False) -> AsyncIterator[Chrome]:
    """Serve a playground and open it in a browser."""
    async with open_app(settings) as app, working(app.services):
        if sample_documents:
            source = open_source(str(sample.path()), fetch_allow=(), max_bytes=MAX_BYTES, files=True)
            await app.ingestor.ingest([source], tenant_id="local")
        try:
            async with served(app) as address, browsing(address) as driver:
                await asyncio.to_thread(_resize, driver, width)
                await wait_until(driver, lambda driver: texts(driver, "#connection") == ["connected"])
                yield driver
        finally:
            await asyncio.to_thread(close_idle)


def _resize(driver: Chrome, width: int) -> None:
    frame = int(driver.execute_script("return outerHeight - innerHeight"))
    driver.set_window_size(width, HEIGHT + frame)


def _click_first(driver: Chrome, selector: str) -> None:
    find_all(driver, selector)[0].click()


async def ask(driver: Chrome, question: str, answers: int) -> None:
    await type_keys(driver, question, Keys.ENTER)
    await wait_until(driver, lambda driver: len(find_all(driver, ".msg.assistant.final")) == answers)


async def _ask_about_a_file(driver: Chrome, path: Path) -> None:
    document = docx.Document()
    document.add_heading("Contract", 1)
    document.add_paragraph(NOTICE)
    document.save(str(path))
    await asyncio.to_thread(lambda: driver.find_element(By.ID, "file").send_keys(str(path)))
    await wait_until(driver, lambda driver: texts(driver, "#attachments li") == [path.name])
    await ask(driver, CONTRACT_QUESTION, 1)
    await asyncio.to_thread(_click_first, driver, ".cite")


# --- a site to ingest


@asynccontextmanager
async def _site() -> AsyncIterator[str]:
    """Serve a site that sends its first pages at once and the others only when it is closed."""
    closed = asyncio.Event()
    served: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        url = f"http://{request.host}"
        if request.path == "/sitemap.xml":
            places = "".join(f"<url><loc>{url}/{number}</loc></url>" for number in range(SITE_PAGES))
            namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
            return web.Response(text=f'<urlset xmlns="{namespace}">{places}</urlset>', content_type="text/xml")
        if request.path == "/robots.txt":
            return web.Response(status=404)
        served.append(request.path)
        if len(served) > SERVED_PAGES:
            await closed.wait()
        page = f"<html><title>Page {request.path}</title><body><p>This is page {request.path}.</p></body></html>"
        return web.Response(text=page, content_type="text/html")

    application = web.Application()
    application.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        closed.set()
        await runner.cleanup()


# --- screenshots


async def _save_log(driver: Chrome, target: Path) -> None:
    """Save the conversation alone, and the popover if one is open."""
    image = await screenshot(driver)
    measure = """
        const box = (id) => document.getElementById(id).getBoundingClientRect();
        const shown = document.getElementById("passage").hidden ? box("log") : box("passage");
        return [box("log").left, box("log").right, box("log").top, Math.max(box("log").bottom, shown.bottom)];
    """
    corners = await asyncio.to_thread(driver.execute_script, measure)
    left, right, top, bottom = (int(value) for value in corners)
    middle = (left + right) // 2
    sides = (middle - DETAIL_WIDTH // 2, middle + DETAIL_WIDTH // 2)
    save(image.crop((sides[0], top - MARGIN, sides[1], bottom + MARGIN)), target)


async def screenshot(driver: Chrome) -> Image.Image:
    await asyncio.sleep(0.5)  # Messages fade in.
    data = await asyncio.to_thread(driver.get_screenshot_as_png)
    return Image.open(io.BytesIO(data)).convert("RGB")


def save(image: Image.Image, target: Path) -> None:
    image.quantize(COLORS).save(target, optimize=True)
