"""Verified answers of the whole app: given first, to those who may read them, until they are out of date."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from bot.app import App
from bot.commands import registry
from bot.commands.admin_notices import ButtonNotice
from bot.commands.ask import NullSurface
from bot.commands.base import Context
from bot.commands.stale_answer_notices import tell_everywhere
from bot.commands.verified_answers import Draft, add_answer_of, add_written, with_citations
from bot.errors import NotAllowed, UsageError
from bot.jobs.maintenance import maintain
from bot.store.verified_answers import records
from bot.types.audience import MEMBERS, Audience
from bot.types.conversation import LOCAL_TENANT, Author, Platform
from bot.types.display import Citation
from bot.types.turns import Outcome
from bot.types.verified_answers import VerifiedAnswer
from knowledge.sources.source_factory import open_source
from knowledge.store import document_catalog, document_names
from tests.app.conftest import incoming, key
from tests.superuser_access import until_blocked

ADMIN = Author("boss", "Bo", is_admin=True)
QUESTION, OTHERWISE = "How do I order a chair?", "how can i order the chairs"
ANSWER = "Chairs are ordered from Kim [1]."


@pytest.fixture
async def written(app: App) -> VerifiedAnswer:
    return await write(app, Draft(QUESTION, ANSWER, sources=("dogs.md",)))


async def write(app: App, draft: Draft, owner: Author = ADMIN, platform: Platform = "console") -> VerifiedAnswer:
    now = app.services.clock()
    return await app.database.run(
        LOCAL_TENANT,
        lambda session: add_written(session, draft, tenant_id=LOCAL_TENANT, platform=platform, owner=owner, now=now),
    )


async def every(app: App) -> list[VerifiedAnswer]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        return await records.every(session, tenant_id=LOCAL_TENANT)


async def ask(
    app: App,
    question: str,
    *,
    user: str = "ann",
    channel: str = "general",
    audience: Audience = MEMBERS,
    thread: str = "",
    fresh: bool = False,
) -> Outcome:
    """Ask a question, in a thread of its own unless one is named."""
    message = incoming(question, key(thread or uuid.uuid4().hex, channel), user=user)
    turn = await app.dispatcher.accept(replace(message, audience=audience, fresh=fresh))
    assert turn is not None
    return await app.dispatcher.start(turn, NullSurface())


async def command(app: App, line: str, by: Author = ADMIN, channel: str = "console") -> str:
    context = Context(LOCAL_TENANT, "console", channel, None, by, app.services, audience=MEMBERS)
    name, _, rest = line.partition(" ")
    return (await registry.COMMANDS[name].run(context, rest)).text


async def reread(app: App, handbook: Path) -> None:
    source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
    assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()


async def test_a_verified_answer_is_given_before_documents_are_searched(app: App, written: VerifiedAnswer) -> None:
    for question in (QUESTION, OTHERWISE):
        outcome = await ask(app, question)
        assert (outcome.answer, outcome.calls, outcome.cached) == (ANSWER, (), True)
        assert [one.source.rpartition("/")[2] for one in outcome.citations] == ["dogs.md"]
        assert outcome.trace["verified"]["id"] == written.id
        assert outcome.trace["search_ms"] == {}
        assert outcome.trace["notes"][0].startswith("✅ Verified by Bo on ")
        assert f"Verified answer {written.id[:8]}: Bo verified it on" in await command(app, f"why {outcome.turn_id}")
    fresh = await ask(app, QUESTION, fresh=True)
    assert fresh.trace["verified"] is None


@pytest.mark.parametrize(
    "question", ["How do I order a desk?", "How do I cancel a chair?", "Why do I order a chair?", "Who orders chairs?"]
)
async def test_another_question_is_answered_from_the_documents(
    app: App, written: VerifiedAnswer, question: str
) -> None:
    assert (await ask(app, question)).trace["verified"] is None


async def test_a_follow_up_is_answered_from_the_documents(app: App, written: VerifiedAnswer) -> None:
    await ask(app, "When may dogs come?", thread="t")
    assert (await ask(app, QUESTION, thread="t")).trace["verified"] is None


async def test_a_channels_answer_never_reaches_others(app: App) -> None:
    await write(app, Draft(QUESTION, "Ask Kim.", audience="C1"))
    given = {
        (channel, audience.readers): (await ask(app, QUESTION, channel=channel, audience=audience)).answer == "Ask Kim."
        for channel in ("C1", "C2")
        for audience in (MEMBERS, Audience("guests"))
    }
    assert given == {("C1", "members"): True, ("C1", "guests"): True, ("C2", "members"): False, ("C2", "guests"): False}


async def test_guests_get_no_answer_that_rests_on_the_teams_documents(app: App) -> None:
    await write(app, Draft(QUESTION, "Ask Kim.", sources=("dogs.md",), audience="C1"))
    assert (await ask(app, QUESTION, channel="C1")).answer.startswith("Ask Kim.")
    assert "Kim" not in (await ask(app, QUESTION, channel="C1", audience=Audience("guests"))).answer


async def test_an_answer_from_a_channels_documents_cannot_be_verified_for_everybody(app: App, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("# Plans\n\nThe chair of the board leaves in May.\n")
    source = open_source(str(tmp_path / "secret.md"), fetch_allow=(), max_bytes=10**6, files=True)
    await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT, audience="C1")
    with pytest.raises(UsageError, match="documents of a channel"):
        await write(app, Draft("Who leaves?", "The chair.", sources=("secret.md",)))
    await write(app, Draft("Who leaves?", "The chair.", sources=("secret.md",), audience="C1"))
    assert (await ask(app, "Who leaves?", channel="C1")).answer == "The chair. [1]"


async def test_a_document_that_moves_to_a_channel_takes_its_answers_along(
    app: App, written: VerifiedAnswer, admin_url: str
) -> None:
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE documents SET audience = 'C9' WHERE uri LIKE '%dogs.md'")
    assert (await ask(app, QUESTION)).trace["verified"] is None


async def test_a_changed_document_ends_it_and_its_owner_is_told_once(app: App, handbook: Path) -> None:
    owner = Author("U1", "Una")
    await write(app, Draft(QUESTION, ANSWER, sources=("dogs.md",)), owner, "slack")
    (handbook / "dogs.md").write_text("# Dogs\n\nDogs are not welcome any more.\n")
    await reread(app, handbook)
    assert (await ask(app, QUESTION)).trace["verified"] is None
    box = Box()
    await tell_everywhere(app.services, box)
    assert box.sent == [], "nothing is marked before maintenance"
    await maintain(app.services, LOCAL_TENANT)
    for _ in range(2):
        await tell_everywhere(app.services, box)
    (told,) = box.sent
    assert told[0] == "U1"
    assert "a document that it cites changed" in told[1].text
    (button,) = told[1].buttons
    assert "Verified as" in await command(app, f"docs {button.action} {button.value}", owner)
    assert (await ask(app, QUESTION)).answer == ANSWER
    assert [one.stale for one in await every(app)] == [""]


async def test_the_admins_are_told_in_place_of_an_owner_without_direct_messages(
    app: App, written: VerifiedAnswer, handbook: Path
) -> None:
    (handbook / "dogs.md").unlink()
    async with app.database.tenant(LOCAL_TENANT) as session:
        known = await document_names.find(session, LOCAL_TENANT, "dogs.md")
        await document_catalog.delete(session, LOCAL_TENANT, known)
    await maintain(app.services, LOCAL_TENANT)
    box = Box()
    await tell_everywhere(app.services, box)
    assert [person for person, _ in box.sent] == ["U0BOSS"]


async def test_it_expires(app: App, admin_url: str) -> None:
    now = datetime.now(UTC)
    await write(app, Draft(QUESTION, "Ask Kim.", expires_at=now + timedelta(days=1)))
    assert (await ask(app, QUESTION)).answer == "Ask Kim."
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE verified_answers SET expires_at = now()")
    assert (await ask(app, QUESTION)).trace["verified"] is None
    assert [one.stale for one in await every(app)] == ["expired"]


async def test_a_document_that_is_superseded_by_now_ends_it(app: App, handbook: Path, admin_url: str) -> None:
    (handbook / "dogs.md").write_text("# Dogs\n\nValid until 2099-01-01.\n\nDogs are welcome.\n")
    await reread(app, handbook)
    await write(app, Draft(QUESTION, ANSWER, sources=("dogs.md",)))
    await maintain(app.services, LOCAL_TENANT)
    assert [one.stale for one in await every(app)] == [""]
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE documents SET text = replace(text, '2099', '2001')")
    await maintain(app.services, LOCAL_TENANT)
    assert [one.stale for one in await every(app)] == ["changed"]


async def test_an_answer_that_was_given_is_verified_with_its_citations(app: App) -> None:
    asked = await ask(app, "What may a hotel in Lisbon cost?")
    assert "Verified as" in await command(app, f"docs verify {asked.turn_id[:8]} --until 90d")
    assert "Verified as" in await command(app, f"docs verify {asked.turn_id[:8]}")
    (known,) = await every(app)
    assert (known.answer, known.citations, known.turn_id) == (asked.answer, asked.citations, asked.turn_id)
    again = await ask(app, "what can a hotel in Lisbon cost")
    assert again.answer == asked.answer
    with pytest.raises(NotAllowed, match="Only admins, and people who added"):
        await command(app, f"docs verify {asked.turn_id[:8]}", Author("ann", "Ann"))
    with pytest.raises(UsageError, match="That day has passed"):
        await command(app, f"docs verify {asked.turn_id[:8]} --until 2001-01-01")
    with pytest.raises(UsageError, match="no day or period"):
        await command(app, f"docs verify {asked.turn_id[:8]} --until soon")


async def test_who_added_the_cited_documents_is_an_expert(app: App, admin_url: str) -> None:
    asked = await ask(app, "What may a hotel in Lisbon cost?", user="ann")
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE sources SET added_by = 'ann'")
    assert "Verified as" in await command(app, f"docs verify {asked.turn_id[:8]}", Author("ann", "Ann"))


async def test_nobody_is_an_expert_by_documents_that_are_deleted(app: App, admin_url: str) -> None:
    lisbon, dogs = "What may a hotel in Lisbon cost?", "On which day are dogs welcome in the office?"
    one, both = await ask(app, lisbon), await ask(app, dogs)
    with psycopg.connect(admin_url) as connection:
        connection.execute("UPDATE sources SET added_by = 'ann'")
        connection.execute(
            "UPDATE turns SET citations = citations || (SELECT citations FROM turns WHERE turn_id = %s)"
            " WHERE turn_id = %s",
            (one.turn_id, both.turn_id),
        )
        connection.execute("DELETE FROM documents WHERE uri LIKE '%travel.md'")
    for answer in (one, both):
        with pytest.raises(NotAllowed, match="Only admins, and people who added"):
            await command(app, f"docs verify {answer.turn_id[:8]}", Author("ann", "Ann"))


async def test_an_answer_from_a_deleted_document_is_not_verified_for_everybody(app: App, admin_url: str) -> None:
    asked = await ask(app, "What may a hotel in Lisbon cost?")
    with psycopg.connect(admin_url) as connection:
        connection.execute("DELETE FROM documents WHERE uri LIKE '%travel.md'")
    details: dict[str, Any] = {"platform": "console", "owner": ADMIN, "for_everyone": True, "expires": None}
    async with app.database.tenant(LOCAL_TENANT) as session:
        with pytest.raises(UsageError, match="cites a document that is deleted"):
            await add_answer_of(session, asked.turn_id, tenant_id=LOCAL_TENANT, now=app.services.clock(), **details)
    assert await every(app) == []


async def test_a_turn_that_two_verify_at_once_has_one_verified_answer(app: App) -> None:
    asked = await ask(app, "What may a hotel in Lisbon cost?")
    details: dict[str, Any] = {"platform": "console", "owner": ADMIN, "for_everyone": True, "expires": None}
    details["now"] = app.services.clock()

    async def verify(session: AsyncSession) -> VerifiedAnswer:
        return await add_answer_of(session, asked.turn_id, tenant_id=LOCAL_TENANT, **details)

    async with app.database.tenant(LOCAL_TENANT) as session:
        await verify(session)
        second = asyncio.create_task(app.database.run(LOCAL_TENANT, verify))
        blocked = asyncio.create_task(until_blocked(app.database))
        await asyncio.wait((second, blocked), return_when=asyncio.FIRST_COMPLETED)
        blocked.cancel()
    later = await second
    assert [one.id for one in await every(app)] == [later.id]


def test_markers_without_a_source_are_removed_and_sources_without_a_marker_are_appended() -> None:
    one, two = Citation(1, "a.md", "A", ""), Citation(2, "b.md", "B", "")
    assert with_citations("Yes [2]. No [7].", [one, two]) == ("Yes [2]. No.", (two,))
    assert with_citations("Yes.", [one, two]) == ("Yes. [1][2]", (one, two))
    assert with_citations("Yes [1].", []) == ("Yes.", ())


@dataclass
class Box:
    """Receives the direct messages of one workspace of Slack."""

    platform: Platform = "slack"
    sent: list[tuple[str, ButtonNotice]] = field(default_factory=list)

    async def served(self) -> Sequence[str]:
        return [LOCAL_TENANT]

    async def admins(self, tenant_id: str) -> Sequence[str]:
        return ["U0BOSS"]

    def is_person(self, user_id: str) -> bool:
        return user_id.startswith("U")

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        self.sent.append((user_id, notice))
