"""Admins change budgets and jobs on the admin page; other sites and members cannot, and each change is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import App
from bot.types.conversation import LOCAL_TENANT
from tests.app.test_admin_pages import get, rows
from tests.web.serving import TOKEN, served

FORMS = ("budgets", "jobs/1/retry", "jobs/1/stop", "runs/1/stop", "runs/1/retry")
"""Paths below the admin page that forms are posted to."""
BUDGET = {"subject": "user:ann", "tokens": "200k"}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    http: aiohttp.ClientSession, url: str, fields: dict[str, str] | None = None, **headers: str
) -> tuple[int, str]:
    """Post a form as a browser does, and return the status and the page or the place to go to."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.post(url, data=fields or {}, headers=given, allow_redirects=False) as response:
        return response.status, response.headers.get("Location") or await response.text()


async def limits(app: App) -> dict[str, int]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return {row.subject: row.daily_tokens for row in await session.execute(text("SELECT * FROM budgets"))}


async def test_a_limit_is_set_and_removed_and_each_change_is_recorded(app: App, http: aiohttp.ClientSession) -> None:
    async with served(app) as url:
        page = f"{url}/admin/budgets"
        assert await post(http, page, BUDGET, Origin=url) == (303, "../admin/budgets")
        assert await limits(app) == {"user:ann": 200_000}
        (row, *_) = await rows(http, f"{page}?csv=limits")
        assert list(row.values()) == ["user:ann", "200,000 tokens a day", "set here"]
        await post(http, page, {"subject": "user:ann", "tokens": "default"}, Origin=url)
        assert await limits(app) == {}
        changes = await rows(http, f"{page}?csv=changes")
    assert [(one["Change"], one["Of"], one["To"]) for one in changes] == [
        ("set a budget", "user:ann", "default"),
        ("set a budget", "user:ann", "200,000 tokens a day"),
    ]
    assert {one["Admin"] for one in changes} != {""}


@pytest.mark.parametrize("job", ["1", "x", "9" * 5000])
async def test_a_job_that_does_not_exist_is_the_clients_fault(app: App, http: aiohttp.ClientSession, job: str) -> None:
    async with served(app) as url:
        status, page = await post(http, f"{url}/admin/jobs/{job}/retry", Origin=url)
    assert (status, "was changed in the meantime" in page) == (400, True)


async def test_what_is_wrong_with_a_form_is_said_on_the_page(app: App, http: aiohttp.ClientSession) -> None:
    async with served(app) as url:
        for fields in ({"subject": "ann", "tokens": "many"}, {"subject": "", "tokens": "5"}, {}):
            status, page = await post(http, f"{url}/admin/budgets", fields, Origin=url)
            assert status == 400
            assert 'role="alert"' in page
    assert await limits(app) == {}


async def test_another_site_changes_nothing(app: App, http: aiohttp.ClientSession) -> None:
    elsewhere = ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"})
    async with served(app) as url:
        for path in FORMS:
            for headers in elsewhere:
                assert (await post(http, f"{url}/admin/{path}", BUDGET, **headers))[0] == 403, (path, headers)
    assert await limits(app) == {}


async def test_only_admins_change_anything(app: App, http: aiohttp.ClientSession) -> None:
    settings = app.settings.model_copy(
        update={
            "web_token": SecretStr(TOKEN),
            "web_proxy_header": "X-User",
            "web_proxy_groups_header": "X-Groups",
            "web_trusted_proxies": ("127.0.0.1",),
            "web_admin_groups": ("bosses",),
            "web_member_groups": ("*",),
        }
    )
    async with served(app, settings) as url:
        for path in FORMS:
            status, _ = await post(http, f"{url}/admin/{path}", BUDGET, Origin=url, X_User="mia", X_Groups="staff")
            assert status == 403
        assert await limits(app) == {}
        status, _ = await post(http, f"{url}/admin/budgets", BUDGET, Origin=url, X_User="bo", X_Groups="bosses")
        assert status == 303
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert "bo" in str(await session.scalar(text("SELECT admin_id FROM admin_changes")))


async def status_of(app: App, job: int) -> str:
    return next(str(row["status"]) for row in await app.services.queue.recent(LOCAL_TENANT) if row["id"] == job)


async def test_jobs_are_stopped_and_retried(app: App, http: aiohttp.ClientSession) -> None:
    queue = app.services.queue
    job, foreign = (
        await queue.defer("reindex", tenant_id=LOCAL_TENANT),
        await queue.defer("reindex", tenant_id="slack:T2"),
    )
    assert job is not None
    assert foreign is not None
    async with served(app) as url:
        at = f"{url}/admin/jobs"
        assert 'action="../admin/jobs' in await get(http, at)
        assert (await post(http, f"{at}/{foreign}/stop", Origin=url))[0] == 400
        assert (await post(http, f"{at}/{job}/retry", Origin=url))[0] == 400
        assert (await post(http, f"{at}/{job}/stop", Origin=url))[0] == 303
        assert await status_of(app, job) == "cancelled"
        assert (await post(http, f"{at}/{job}/stop", Origin=url))[0] == 400
        await queue.connector.execute_query_async(
            "UPDATE procrastinate_jobs SET status = 'failed' WHERE id = %(id)s", id=job
        )
        assert (await post(http, f"{at}/{job}/retry", Origin=url))[0] == 303
        assert await status_of(app, job) == "todo"
        assert (await post(http, f"{at}/{10**18}/stop", Origin=url))[0] == 400
        changes = await rows(http, f"{url}/admin/budgets?csv=changes")
    assert [(one["Change"], one["Of"]) for one in changes] == [
        ("retry a job", f"job {job}"),
        ("stop a job", f"job {job}"),
    ]


async def test_a_reading_shows_its_progress_and_is_stopped_and_repeated(
    app: App, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        run = await session.scalar(
            text(
                "WITH source AS (INSERT INTO sources (tenant_id, id, uri, kind, audience, fetched_at) VALUES "
                "('local', gen_random_uuid(), 'https://docs.example/', 'url', 'tenant', now()) RETURNING id), "
                "run AS (INSERT INTO ingests (tenant_id, id, source_id, state, asked_by, done, total) "
                "SELECT 'local', gen_random_uuid(), id, 'running', 'ann', 3, 12 FROM source RETURNING id) "
                "SELECT CAST(id AS text) FROM run"
            )
        )
    async with served(app) as url:
        readings = f"{url}/admin/jobs?csv=readings"
        (row,) = await rows(http, readings)
        assert (row["State"], row["Documents read"], row["Of"]) == ("running", "3", "12")
        assert (await post(http, f"{url}/admin/runs/{run}/retry", Origin=url))[0] == 400
        assert (await post(http, f"{url}/admin/runs/{run}/stop", Origin=url))[0] == 303
        (row,) = await rows(http, readings)
        assert row["State"] == "stopping"
        async with app.database.tenant(LOCAL_TENANT) as session:
            await session.execute(text("UPDATE ingests SET state = 'failed', error = 'timed out'"))
        assert (await post(http, f"{url}/admin/runs/{run}/retry", Origin=url))[0] == 303
        found = await rows(http, readings)
        assert [one["State"] for one in found] == ["waiting", "failed"]
        assert (await post(http, f"{url}/admin/runs/unknown/stop", Origin=url))[0] == 404
