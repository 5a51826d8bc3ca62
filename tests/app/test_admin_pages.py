"""Tests the admin pages of a real app over HTTP: every link leads to rows, every table is a CSV, nothing leaks."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

import aiohttp
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.app import App
from bot.config import Settings
from bot.platforms.web.admin.user_messages import FILTERS, SECTIONS
from bot.types.conversation import LOCAL_TENANT, PRIVATE_THREAD, ThreadKey
from tests.app.conftest import ask, incoming
from tests.doubles.models import ModelDouble, Reply
from tests.web.serving import TOKEN, served

HOSTILE = "<script>alert(1)</script>"
ANSWER = "A hotel in Lisbon may cost 180 EUR a night [1]."


class Links(HTMLParser):
    """Collects the addresses that a page links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if tag == "a" and name == "href"]


def links(url: str, page: str) -> list[str]:
    """Return the absolute addresses that a page links."""
    parser = Links()
    parser.feed(page)
    return [urljoin(url, one) for one in parser.found]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def get(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url) as response:
        assert response.status == 200, (url, response.status)
        return await response.text()


async def rows(http: aiohttp.ClientSession, url: str) -> list[dict[str, str]]:
    """Return the rows of a table as its CSV has them."""
    return list(csv.DictReader(io.StringIO(await get(http, url))))


def is_to_follow(address: str) -> bool:
    """Return whether to open a link: all but those that only combine what others have, which are many times as many."""
    given = dict(parse_qsl(urlsplit(address).query))
    about_one = given.keys() & {"source", "user"}
    return given.get("days") in (None, "1", "30") and not (about_one and given.keys() & {"filter", "csv"})


async def used(app: App, models: ModelDouble) -> None:
    """Ask questions that end in every way that the pages list."""
    models.script = lambda _: Reply(ANSWER)
    rated = await ask(app, f"What may a hotel in Lisbon cost? {HOSTILE}", "t1", channel="travel")
    await ask(app, "=1+1 May I bring zebras?", "t2", user="bob")
    await ask(app, "What is the private limit in Oslo?", f"{PRIVATE_THREAD}1", user="eve")
    models.script = lambda _: Reply(fault="status", status=400)
    await ask(app, "Are dogs welcome in the office on Fridays?", "t3", user="bob")
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text("INSERT INTO feedback (tenant_id, turn_id, user_id, value) VALUES ('local', :turn, 'ann', -1)"),
            {"turn": rated.turn_id},
        )
        # The times of a busy machine say nothing: the answer that was rated is slow, the others are not.
        await session.execute(
            text(
                "UPDATE turns SET trace = trace || jsonb_build_object('timings_ms', CASE WHEN turn_id = :turn "
                """THEN '{"total": 3600000, "ttft": 3600000}' ELSE '{"total": 1, "ttft": 1}' END::jsonb)"""
            ),
            {"turn": rated.turn_id},
        )


async def test_every_link_of_every_page_leads_to_a_page_or_a_file(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    await used(app_with_models, models)
    async with served(app_with_models) as url:
        waiting, seen = [f"{url}/admin"], {f"{url}/admin"}
        while waiting:
            address = waiting.pop()
            page = await get(http, address)
            if "csv=" in address or "cases.jsonl" in address:
                continue
            assert "<h1>" in page
            assert HOSTILE not in page
            for one in links(address, page):
                if urlsplit(one).path.startswith("/admin") and one not in seen:
                    assert one.startswith(url)
                    seen.add(one)
                    if is_to_follow(one):
                        waiting.append(one)
    assert {f"{url}/admin/{name}" for name in SECTIONS if name != "overview"} <= seen
    answers = {urlsplit(one).path.rpartition("/questions/")[2][:8] for one in seen if "/admin/questions/" in one}
    assert len(answers) == 3, "all but the private one"


async def test_costs_are_the_ledgers_and_lead_to_its_rows(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    await used(app_with_models, models)
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        calls, cost = (await session.execute(text("SELECT count(*), sum(cost_usd)::float FROM ledger"))).one()
    async with served(app_with_models) as url:
        for by in ("day", "user", "channel", "model", "purpose"):
            found = await rows(http, f"{url}/admin/costs?by={by}&csv=costs")
            total, *rest = found
            assert sum(float(row["US dollars"]) for row in rest) == pytest.approx(cost)
            assert total["Calls"] == str(calls)
            assert float(total["US dollars"]) == pytest.approx(cost)
            page = await get(http, f"{url}/admin/costs?by={by}")
            behind = {one for one in links(f"{url}/admin/costs", page) if "/admin/calls?by=" in one}
            listed = [await rows(http, f"{one}&csv=calls") for one in sorted(behind)]
            assert sum(map(len, listed)) == calls


async def test_calls_of_unknown_price_do_not_count_as_free(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    models.script = lambda _: Reply(ANSWER)
    await ask(app_with_models, "What may a hotel in Lisbon cost?", "t1", channel="travel")
    await ask(app_with_models, "What may a hotel in Ghent cost?", "t2", channel="travel")
    unpriced = "UPDATE ledger SET cost_usd = NULL, model = 'mystery-1'"
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        calls = await session.scalar(text("SELECT count(*) FROM ledger"))
        await session.execute(text(f"{unpriced} WHERE turn_id = (SELECT turn_id FROM ledger LIMIT 1)"))
        priced = await session.scalar(text("SELECT count(*) FROM ledger WHERE cost_usd IS NOT NULL"))
    async with served(app_with_models) as url:
        assert re.search(rf"<strong>\$0\.\d+ \+ {calls - priced} unknown</strong>", await get(http, f"{url}/admin"))
        assert "An answer costs</span> <strong>at least $0." in await get(http, f"{url}/admin")
        async with app_with_models.database.tenant(LOCAL_TENANT) as session:
            await session.execute(text(unpriced))
        page = await get(http, f"{url}/admin")
        assert f"Spent</span> <strong>$0.0000 + {calls} unknown</strong>" in page
        assert "An answer costs</span> <strong>unknown</strong>" in page
        by_day = await rows(http, f"{url}/admin?csv=costs")
        assert [row["Calls of unknown price"] for row in by_day] == [str(calls), str(calls)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", 3),
        ("filter=down", 1),
        ("filter=unanswered", 1),
        ("filter=failed", 0),
        ("filter=slow", 1),
        ("words=ZEBRAS", 1),
        ("words=%25", 0),
        ("words=zebras&filter=down", 0),
        ("user=bob", 2),
        ("days=1", 3),
        ("days=nonsense&filter=nonsense&before=nonsense", 3),
        ("before=2020-01-01T00:00:00%2B00:00", 0),
    ],
)
async def test_questions_are_found(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession, query: str, expected: int
) -> None:
    await used(app_with_models, models)
    async with served(app_with_models) as url:
        assert len(await rows(http, f"{url}/admin/questions?{query}&csv=questions")) == expected
        page = await get(http, f"{url}/admin/questions?{query}")
        assert len(re.findall(r'href="[^"]*admin/questions/\w', page)) == expected


async def test_private_questions_of_others_and_other_tenants_are_not_shown(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    await used(app_with_models, models)
    elsewhere = incoming("What may a hotel in Lisbon cost elsewhere?", ThreadKey("slack:T2", "web", "general", "t9"))
    turn = await app_with_models.dispatcher.accept(elsewhere)
    assert turn is not None
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        private = await session.scalar(text("SELECT turn_id FROM turns WHERE user_id = 'eve'"))
    async with served(app_with_models) as url:
        listed = await get(http, f"{url}/admin/questions")
        assert "Oslo" not in listed
        assert "elsewhere" not in listed
        for hidden in (private, turn.id):
            async with http.get(f"{url}/admin/questions/{hidden}") as response:
                assert response.status == 404
        async with http.get(f"{url}/admin/questions/../../etc") as response:
            assert response.status == 404


async def test_the_trace_of_an_answer_has_its_passages_and_calls(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    models.script = lambda _: Reply(ANSWER)
    outcome = await ask(app_with_models, "What may a hotel in Lisbon cost?")
    async with served(app_with_models) as url:
        address = f"{url}/admin/questions/{outcome.turn_id}"
        page = await get(http, address)
        passages, calls = await rows(http, f"{address}?csv=passages"), await rows(http, f"{address}?csv=calls")
    assert "A hotel in Lisbon may cost 180 EUR a night [1]." in page
    assert "180 EUR" in passages[0]["Text"]
    assert [call["Status"] for call in calls] == ["ok"]


async def test_cells_are_no_formulas(app: App, http: aiohttp.ClientSession) -> None:
    await ask(app, "=1+1 May I bring zebras?")
    async with served(app) as url:
        (row,) = await rows(http, f"{url}/admin/questions?csv=questions")
    assert row["Question"].startswith("'=1+1")


async def test_only_admins_see_the_pages(app: App, http: aiohttp.ClientSession) -> None:
    settings: Settings = app.settings.model_copy(
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
        for name in ("", *(f"/{one}" for one in SECTIONS if one != "overview"), "/calls", "/questions/12345678"):
            member, boss = {"X-User": "mia", "X-Groups": "staff"}, {"X-User": "bo", "X-Groups": "bosses"}
            async with http.get(f"{url}/admin{name}", headers=member) as response:
                assert response.status == 403, name
            async with http.get(f"{url}/admin{name}", allow_redirects=False) as response:
                assert response.status in (303, 403), name
            async with http.get(f"{url}/admin{name}", headers=boss) as response:
                assert response.status == (404 if name.startswith("/questions/") else 200), name


def test_every_filter_has_a_label() -> None:
    from bot.reports.questions import FILTERS as KINDS

    assert set(FILTERS) == set(KINDS)


async def test_speed_and_caches(app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession) -> None:
    await used(app_with_models, models)
    models.script = lambda _: Reply(ANSWER)
    await ask(app_with_models, f"What may a hotel in Lisbon cost? {HOSTILE}", "t9", user="zoe", channel="travel")
    async with served(app_with_models) as url:
        page = f"{url}/admin/performance"
        objectives = await rows(http, f"{page}?csv=objectives")
        slowest = await rows(http, f"{page}?csv=slowest")
        sources = await rows(http, f"{page}?csv=sources")
        cached = await rows(http, f"{url}/admin/questions?filter=cached&csv=questions")
    assert [row["Objective"] for row in objectives] == ["First token", "Whole answer", "Own share of the first token"]
    assert all(float(row["Burn rate"]) >= 0 for row in objectives)
    assert {row["Median target"].split(",")[0] for row in objectives} <= {"met", "missed"}
    assert "Oslo" not in str(slowest), "private questions of others are not shown"
    assert slowest
    assert sum(float(row["Share, %"]) for row in sources) == pytest.approx(100)
    assert int(sources[-1]["Answers"]) == len(cached)


async def test_documents_lead_to_the_questions_that_cite_them(
    app_with_models: App, models: ModelDouble, http: aiohttp.ClientSession
) -> None:
    await used(app_with_models, models)
    async with served(app_with_models) as url:
        address = f"{url}/admin/documents"
        sources = await rows(http, f"{address}?csv=sources")
        cited = [row for row in sources if row["Citations"] != "0"]
        never = await rows(http, f"{address}?filter=never&csv=documents")
        assert cited
        assert {row["Source"] for row in never} == {row["Source"] for row in sources} - {row["Source"] for row in cited}
        page = await get(http, address)
        citing = {one for one in links(address, page) if "/admin/questions?source=" in one}
        found = [row for one in citing for row in await rows(http, f"{one}&csv=questions")]
    assert sum(int(row["Citations"]) for row in cited) >= len(found) > 0


async def test_connections_name_the_state_of_slack_and_discord(app: App, http: aiohttp.ClientSession) -> None:
    app.services.health.works("slack")
    app.services.health.failed("discord", "the token is invalid")
    async with served(app) as url:
        found = await rows(http, f"{url}/admin/connections?csv=platforms")
    assert [tuple(row.values()) for row in found] == [
        ("Slack", "connected", ""),
        ("Discord", "not connected", "the token is invalid"),
    ]
