"""Tests the page with two real web processes behind one address: each request may reach either of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.app import App, open_app
from bot.config import load
from bot.jobs import working
from tests.doubles.models import ModelDouble, Reply, Seen
from tests.web.client import Stream, following
from tests.web.round_robin import PROCESS, behind_one_address
from tests.web.test_stop_ingestion import PAGES, site  # noqa: F401
from tests.web.test_stop_ingestion import Site as SlowSite

THREAD = "thread-0001"
EMBEDDING_MODEL = "text-embedding-3-small"
PLAN = b"# Plan\n\nThe company bicycle is called Gustav and lives in the cellar of the Ghent office.\n"


@pytest.fixture
async def models() -> AsyncIterator[ModelDouble]:
    async with ModelDouble() as double:
        double.script = lambda _: Reply("The bicycle is called Gustav.")
        yield double


@pytest.fixture
def environment(models: ModelDouble) -> dict[str, str]:
    """Return the settings of the processes. No model is loaded, which would take most of the time of a test."""
    return {
        "OPENAI_API_KEY": models.openai_key,
        "OPENAI_BASE_URL": models.openai_url,
        "PARLEY_EMBEDDING_MODEL": EMBEDDING_MODEL,
        "PARLEY_FETCH_ALLOW": "127.0.0.1",
    }


@pytest.fixture
async def app(database_url: str, tmp_path: Path, models: ModelDouble) -> AsyncIterator[App]:
    """The worker's app."""
    settings = load(
        database_url=database_url, data_dir=tmp_path, reranker="none", fetch_allow=("127.0.0.1",),
        embedding_model=EMBEDDING_MODEL, openai_api_key=models.openai_key, openai_base_url=models.openai_url,
    )  # fmt: skip
    async with open_app(settings) as opened, working(opened.services):
        yield opened


async def post(http: aiohttp.ClientSession, process: int | None, path: str, **body: Any) -> dict[str, Any]:
    headers = {} if process is None else {PROCESS: str(process)}
    async with http.post(f"/api/{path}", json=body, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        assert response.status < 300, answer
        return answer


async def ask(http: aiohttp.ClientSession, process: int | None, text: str, *files: str) -> str:
    body = {"thread": THREAD, "id": uuid.uuid4().hex, "text": text, "files": list(files)}
    return str((await post(http, process, "ask", **body))["turn"])


async def messages(http: aiohttp.ClientSession, process: int) -> list[dict[str, Any]]:
    async with http.get(f"/api/threads/{THREAD}", headers={PROCESS: str(process)}) as response:
        found: list[dict[str, Any]] = (await response.json())["messages"]
        return found


@asynccontextmanager
async def pages(http: aiohttp.ClientSession, number: int = 2) -> AsyncIterator[list[Stream]]:
    """Open the event stream of each process. The proxy passes consecutive requests to different processes."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(following(http)) for _ in range(number)]


def answered(turn: str) -> Any:
    return lambda seen: any(view["turn"] == turn and view["final"] for view in seen.of("assistant"))


async def test_a_page_works_whichever_process_serves_a_request(
    app: App,
    database_url: str,
    tmp_path: Path,
    environment: dict[str, str],
    site: SlowSite,  # noqa: F811
) -> None:
    async with (
        behind_one_address(tmp_path, database_url, environment) as served,
        served.browser() as http,
        pages(http) as both,
    ):
        assert {0, 1} <= set(served.served), "the session of one process is valid at the other"
        await _attached_at_one_and_asked_at_the_other(http, both)
        await _an_uploaded_file_is_ingested(http, both)
        await _a_reply_with_a_file(http, both)
        await _progress_and_stop(http, both, site)
        await _thumbs_edits_and_deletion(http, both)


async def _attached_at_one_and_asked_at_the_other(http: aiohttp.ClientSession, both: list[Stream]) -> None:
    headers = {"Content-Type": "text/markdown", PROCESS: "0"}
    async with http.post("/api/attach", params={"file": "plan.md"}, data=PLAN, headers=headers) as response:
        key = (await response.json())["file"]
    turn = await ask(http, 1, "What is the company bicycle called?", key)
    for stream in both:
        await stream.until(answered(turn))
        assert "Gustav" in stream.text()


async def _an_uploaded_file_is_ingested(http: aiohttp.ClientSession, both: list[Stream]) -> None:
    address = f"/api/upload?thread={THREAD}&file=bicycles.md"
    async with http.post(address, data=PLAN, headers={PROCESS: "0"}) as response:
        assert response.status == 202
        reply = (await response.json())["message"]
    for stream in both:
        await stream.until(lambda seen: seen.shown.get(reply, {}).get("final", False))
        assert "Added 1 document" in "".join(stream.shown[reply]["blocks"])
    for process in (0, 1):
        assert reply in {view["id"] for view in await messages(http, process)}


async def _a_reply_with_a_file(http: aiohttp.ClientSession, both: list[Stream]) -> None:
    reply = (await post(http, 0, "command", thread=THREAD, command="privacy", args="export"))["message"]
    for process, stream in enumerate(both):
        await stream.until(lambda seen: seen.shown.get(reply, {}).get("final", False))
        async with http.get(f"/{stream.shown[reply]['file']['url']}", headers={PROCESS: str(process)}) as response:
            assert (response.status, '"turns"' in await response.text()) == (200, True)


async def _progress_and_stop(http: aiohttp.ClientSession, both: list[Stream], slow: SlowSite) -> None:
    args = f"sitemap:{slow.url}/sitemap.xml"
    reply = (await post(http, 0, "command", thread=THREAD, command="ingest", args=args))["message"]
    slow.release(2)
    for stream in both:
        await stream.until(lambda seen: f"of {PAGES} pages" in "".join(seen.shown.get(reply, {}).get("notes", ())))
        assert stream.shown[reply]["actions"] == ["stop"]
    await post(http, 1, "readings/stop", thread=THREAD, reading=both[1].shown[reply]["reading"])
    slow.release(3)
    for stream in both:
        await stream.until(lambda seen: seen.shown[reply]["final"])
        assert "Stopped early" in "".join(stream.shown[reply]["blocks"])


async def _thumbs_edits_and_deletion(http: aiohttp.ClientSession, both: list[Stream]) -> None:
    turn = await ask(http, 0, "Where does the bicycle live?")
    for stream in both:
        await stream.until(answered(turn))
    await post(http, 1, f"turns/{turn}/up")
    await post(http, 1, f"turns/{turn}/change", text="Who is Gustav?")
    question = f"q-{turn}"
    for process, stream in enumerate(both):
        await stream.until(
            lambda seen: "Gustav" in "".join(seen.shown[question]["blocks"]) and seen.shown[question]["final"]
        )
        await stream.until(lambda seen: sum(view["turn"] == turn for view in seen.of("assistant")) == 1)
        found = [view for view in await messages(http, process) if view["turn"] == turn]
        assert [(view["role"], view["final"]) for view in found] == [("user", True), ("assistant", True)]
        assert "Gustav" in found[0]["blocks"][0]
    await post(http, 0, f"turns/{turn}/forget")
    for process, stream in enumerate(both):
        await stream.until(lambda seen: not any(view["turn"] == turn for view in seen.shown.values()))
        assert [view for view in await messages(http, process) if view["turn"] == turn] == []


async def test_another_process_answers_after_the_death_of_one_in_mid_answer(
    database_url: str, tmp_path: Path, models: ModelDouble, environment: dict[str, str]
) -> None:
    held = asyncio.Event()
    seen: list[Seen] = []

    def script(request: Seen) -> Reply:
        seen.append(request)
        return Reply("Thirty days of leave a year.", after=1, held=held if request.body.get("stream") else None)

    models.script = script
    async with (
        behind_one_address(tmp_path, database_url, environment) as served,
        served.browser() as http,
        pages(http) as both,
    ):
        streams = {served.served[-2]: both[0], served.served[-1]: both[1]}
        turn = await ask(http, 0, "How much leave do I have?")
        await streams[1].until(lambda found: any(view["turn"] == turn for view in found.of("assistant")))
        async with asyncio.timeout(60):
            while not any(request.pieces_sent for request in seen):
                await asyncio.sleep(0.02)
        await served.processes[0].kill()
        held.set()
        await streams[1].until(answered(turn))
        await streams[1].until(lambda found: found.shown[f"q-{turn}"]["final"])
        shown = [view for view in await messages(http, 1) if view["turn"] == turn]
        assert [(view["role"], view["final"]) for view in shown] == [("user", True), ("assistant", True)]
        assert [view["turn"] for view in streams[1].of("assistant")] == [turn], "no placeholder is left"
        assert "Thirty days" in streams[1].text()
