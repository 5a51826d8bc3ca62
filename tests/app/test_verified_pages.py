"""The admin pages that verify answers, and the cases that they make of rejected answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import text

from bot.app import App
from bot.evals.answer_cases import read
from bot.evals.answers import why_failed
from bot.types.conversation import LOCAL_TENANT, PRIVATE_THREAD
from bot.types.turns import Outcome
from tests.app.conftest import ask
from tests.web.serving import served

QUESTION = "What may a hotel in Lisbon cost?"


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, url: str, **fields: str) -> tuple[int, str, str]:
    """Post a form. Return the status, the path of the page that it leads to, and that page."""
    async with http.post(url, data=fields, headers={"Origin": url.partition("/admin")[0]}) as response:
        return response.status, response.url.path, await response.text()


async def reject(app: App, outcome: Outcome, reason: str = "") -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text(
                "INSERT INTO feedback (tenant_id, turn_id, user_id, value, reason) "
                "VALUES ('local', :turn, 'a', -1, :why)"
            ),
            {"turn": outcome.turn_id, "why": reason},
        )


async def test_an_answer_is_verified_changed_and_removed(app: App, http: aiohttp.ClientSession) -> None:
    asked = await ask(app, QUESTION)
    async with served(app) as url:
        async with http.get(f"{url}/admin/questions/{asked.turn_id}") as response:
            assert f'action="../../admin/questions/{asked.turn_id}/verify"' in await response.text()
        status, path, page = await post(
            http,
            f"{url}/admin/questions/{asked.turn_id}/verify",
            answer="180 EUR [1].",
            also="Hotel limit?",
            owner="Ann",
        )
        assert (status, path.startswith("/admin/verified/"), "180 EUR [1]." in page) == (200, True, True)
        for question in (QUESTION, "hotel limit"):
            given = await ask(app, question, f"t-{question}", user="bob")
            assert given.answer == "180 EUR [1]."
            assert "by Ann" in given.trace["notes"][0]
        assert (await post(http, f"{url}{path}/renew", until="never"))[0] == 200
        status, listed, page = await post(http, f"{url}{path}/remove")
        assert (status, listed, "No verified answers yet" in page) == (200, "/admin/verified", True)
        async with http.get(f"{url}{path}") as response:
            assert response.status == 404


async def test_an_answer_is_written(app: App, http: aiohttp.ClientSession) -> None:
    async with served(app) as url:
        status, _, page = await post(
            http, f"{url}/admin/verified", question="<b>Who?</b>", answer="Kim.", sources="dogs.md\ntravel.md"
        )
        assert (status, "&lt;b&gt;Who?" in page, "<b>Who?" in page) == (200, True, False)
        assert "Kim. [1][2]" in page
    assert (await ask(app, "<b>who?</b>", "t9")).answer == "Kim. [1][2]"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"question": "Who?"}, "Write the question and the answer."),
        ({"question": "Who?", "answer": "Kim", "sources": "nowhere.md"}, "There is no document nowhere.md"),
        ({"question": "Who?", "answer": "Kim", "until": "2001-01-01"}, "That day has passed"),
    ],
)
async def test_what_is_wrong_with_a_form_is_said_on_the_page(
    app: App, http: aiohttp.ClientSession, fields: dict[str, str], fault: str
) -> None:
    async with served(app) as url:
        status, _, page = await post(http, f"{url}/admin/verified", **fields)
    assert status == 400
    assert fault in page
    assert "No verified answers yet" in page


async def test_another_site_cannot_post_the_form(app: App, http: aiohttp.ClientSession) -> None:
    async with served(app) as url:
        fields = {"question": "Who?", "answer": "Kim"}
        async with http.post(
            f"{url}/admin/verified", data=fields, headers={"Origin": "https://evil.example"}
        ) as response:
            assert response.status == 403


async def test_a_private_answer_of_another_person_cannot_be_verified(app: App, http: aiohttp.ClientSession) -> None:
    asked = await ask(app, QUESTION, f"{PRIVATE_THREAD}1", user="eve")
    async with served(app) as url:
        status, _, _ = await post(http, f"{url}/admin/questions/{asked.turn_id}/verify", answer="x")
        assert status == 404
        async with http.get(f"{url}/admin/cases.jsonl?turn={asked.turn_id}") as response:
            assert response.status == 404


async def test_a_rejected_answer_becomes_a_case_that_the_evaluation_reads(
    app: App, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    first = await ask(app, "What may a hotel in Oslo cost?", "t1")
    asked = await ask(app, "And in Lisbon?", "t1")
    await reject(app, asked, "Too old.")
    private = await ask(app, QUESTION, f"{PRIVATE_THREAD}1", user="eve")
    await reject(app, private, "Mine.")
    unanswered = await ask(app, "Which zebras may I bring?", "t2")
    async with served(app) as url:
        async with http.get(f"{url}/admin/cases.jsonl?days=7") as response:
            found = [json.loads(line) for line in (await response.text()).splitlines()]
        async with http.get(f"{url}/admin/cases.jsonl?turn={first.turn_id}") as response:
            assert len((await response.text()).splitlines()) == 1, "one click, however it was rated"
        for wrong in ("12345678", "x"):
            async with http.get(f"{url}/admin/cases.jsonl?turn={wrong}") as response:
                assert response.status == 404
    zebras, rejected = found
    assert zebras == {
        "id": f"feedback-{unanswered.turn_id[:8]}",
        "kind": "unanswered",
        "question": "Which zebras may I bring?",
        "answered": True,
    }
    assert (rejected["earlier"], rejected["reason"]) == (["What may a hotel in Oslo cost?"], "Too old.")
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, found)))
    must_answer, must_differ = read(path)
    assert "must not be said" in why_failed(must_differ, asked)
    assert why_failed(must_answer, unanswered) == "no source is cited"
    assert why_failed(must_answer, first) == ""


async def test_a_verified_answer_is_the_reference_of_the_case(app: App, http: aiohttp.ClientSession) -> None:
    asked = await ask(app, QUESTION)
    await reject(app, asked)
    async with served(app) as url:
        await post(http, f"{url}/admin/questions/{asked.turn_id}/verify", answer="180 EUR a night [1].")
        async with http.get(f"{url}/admin/cases.jsonl?days=7") as response:
            (case,) = [json.loads(line) for line in (await response.text()).splitlines()]
    assert (case["reference"], case["sources"], case["answered"]) == ("180 EUR a night [1].", ["travel.md"], True)
    assert "not_facts" not in case
