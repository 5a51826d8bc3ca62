"""Tests ``/metrics``, ``/readyz`` and ``/healthz``, in the web part and on the port of processes without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from bot.app import App
from bot.cli import serve
from bot.config import Settings
from bot.platforms.web import probes
from bot.store.database.migrate import REVISIONS
from tests.app.conftest import ask
from tests.doubles.models import ModelDouble, Reply
from tests.web.serving import TOKEN, free_port, served

LABELS = {
    *("platform", "state", "route", "cache", "refused", "part", "result", "provider", "model", "purpose", "status"),
    *("kind", "le", "implementation", "major", "minor", "patchlevel", "version"),
}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@asynccontextmanager
async def probed(app: App, **changed: object) -> AsyncIterator[str]:
    """Serve the probes of the app on a port of their own."""
    ready, port = asyncio.Event(), free_port()
    settings = app.settings.model_copy(update=changed)
    task = asyncio.create_task(probes.serve(app.services, settings, port=port, ready=ready))
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        yield f"http://127.0.0.1:{port}"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url, headers=headers) as response:
        return response.status, await response.text()


def read(exposition: str) -> Samples:
    """Parse metrics with Prometheus's own parser. Timestamps of creation are left out."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of all samples of a name that have these labels."""
    wanted = frozenset(labels.items())
    return sum(value for (one, given), value in samples.items() if one == name and wanted <= given)


async def test_metrics_count_what_happened_and_name_no_person_and_no_place(
    app_with_models: App, models: ModelDouble
) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost 180 EUR a night [1].")
    outcomes = [
        await ask(app_with_models, "What may a hotel in Lisbon cost?", "thread-7", user="ann-7", channel="place-7"),
        await ask(app_with_models, "What may a hotel in Lisbon cost?", "thread-8", user="ann-8", channel="place-7"),
        await ask(app_with_models, "When may dogs come to the office?", "thread-8", user="ann-8", channel="place-7"),
    ]
    async with probed(app_with_models) as url:
        status, exposition = await get(f"{url}/metrics")
    assert status == 200
    samples = read(exposition)
    hits = sum(outcome.cached for outcome in outcomes)
    assert hits == 1
    assert total(samples, "parley_turns_total", platform="web", state="done") == len(outcomes)
    assert total(samples, "parley_turns_total", cache="hit") == hits
    assert total(samples, "parley_turn_part_seconds_count", part="total") == len(outcomes)
    assert total(samples, "parley_turn_part_seconds_count", part="first_token") == len(outcomes) - hits
    assert total(samples, "parley_turns_in_progress") == 0
    calls = [call for outcome in outcomes for call in outcome.calls]
    assert total(samples, "parley_model_calls_total", purpose="answer", status="ok") == len(calls)
    written = sum(call.usage.completion_tokens for call in calls)
    cost = sum(float(call.cost_usd or 0) for call in calls)
    assert total(samples, "parley_model_tokens_total", kind="output") == written
    assert total(samples, "parley_model_cost_usd_total") == pytest.approx(cost)
    assert {name for _, labels in samples for name, _ in labels} <= LABELS
    for private in ("ann-7", "place-7", "thread-7", "local", "Lisbon", "travel.md"):
        assert not [value for _, labels in samples for _, value in labels if private in value]


async def test_readiness_names_a_part_that_does_not_work_and_an_old_schema(app: App, admin_url: str) -> None:
    app.services.health.works("worker")
    async with probed(app) as url:
        assert await get(f"{url}/healthz") == (200, "ok")
        assert await get(f"{url}/readyz") == (200, "ok")
        app.services.health.failed("worker", "the queue is away")
        assert await get(f"{url}/readyz") == (503, "worker: the queue is away")
        assert total(read((await get(f"{url}/metrics"))[1]), "parley_part_ready", part="worker") == 0
        app.services.health.works("worker")
        assert total(read((await get(f"{url}/metrics"))[1]), "parley_part_ready", part="worker") == 1
        await set_revision(admin_url, REVISIONS[-2])
        status, text = await get(f"{url}/readyz")
        assert (status, "parley db upgrade" in text) == (503, True)
        await set_revision(admin_url, "9999")
        assert await get(f"{url}/readyz") == (200, "ok"), "a later version's schema is ready"


async def set_revision(admin_url: str, revision: str) -> None:
    async with await psycopg.AsyncConnection.connect(admin_url) as connection:
        await connection.execute("UPDATE alembic_version SET version_num = %s", [revision])


async def test_outside_loopback_metrics_ask_for_the_token_if_there_is_one(app: App) -> None:
    async with probed(app, metrics_host="0.0.0.0", web_token=SecretStr(TOKEN)) as url:
        assert (await get(f"{url}/metrics"))[0] == 401
        assert (await get(f"{url}/metrics", Authorization="Bearer wrong"))[0] == 401
        assert (await get(f"{url}/metrics", Authorization=f"Bearer {TOKEN}"))[0] == 200
        assert await get(f"{url}/healthz") == (200, "ok")
        app.services.health.failed("worker", "the queue is away")
        assert await get(f"{url}/readyz") == (503, "not ready"), "outsiders learn no reasons"
    async with probed(app, metrics_host="0.0.0.0") as url:
        assert (await get(f"{url}/metrics"))[0] == 200


async def test_the_web_part_has_metrics_for_the_token(app: App) -> None:
    settings = app.settings.model_copy(update={"web_token": SecretStr(TOKEN)})
    async with served(app, settings) as url:
        assert (await get(f"{url}/metrics"))[0] == 401
        status, exposition = await get(f"{url}/metrics", Authorization=f"Bearer {TOKEN}")
        assert status == 200
        assert total(read(exposition), "parley_turns_in_progress") == 0


async def test_a_worker_alone_serves_its_probes(settings: Settings) -> None:
    port = free_port()
    loaded = settings.model_copy(update={"metrics_port": port})
    running = asyncio.create_task(serve._serve(loaded, {"worker": serve._worker}))
    try:
        async with asyncio.timeout(120):
            while (answer := await answer_of(f"http://127.0.0.1:{port}/readyz")) != (200, "ok"):
                assert not running.done(), answer
                await asyncio.sleep(0.1)
        samples = read((await get(f"http://127.0.0.1:{port}/metrics"))[1])
        for part in ("worker", "metrics", "models"):
            assert total(samples, "parley_part_ready", part=part) == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def answer_of(url: str) -> tuple[int, str]:
    try:
        return await get(url)
    except aiohttp.ClientConnectionError as error:
        return 0, str(error)
