"""Answers whose cited passages changed are marked once, and the threads that want it are told once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg

from bot.app import App
from bot.commands.admin_notices import ButtonNotice
from bot.commands.ask import NullSurface
from bot.commands.changed_answer_notices import tell_everywhere
from bot.engine.ports.surface import Surface
from bot.errors import MessageGone, PlatformAway
from bot.jobs.maintenance import maintain
from bot.reports import questions
from bot.reports.trace import trace_of
from bot.store import tenants
from bot.store.turns import changed_answers
from bot.types.conversation import LOCAL_TENANT, PRIVATE_THREAD, Platform, ThreadKey
from bot.types.turns import Outcome, Turn
from knowledge.sources.source_factory import open_source
from knowledge.store import document_catalog, document_names
from tests.app.conftest import incoming
from tests.engine.fakes import Screen


async def ask(app: App, question: str, *, thread: str = "", channel: str = "C1") -> Outcome:
    key = ThreadKey(LOCAL_TENANT, "slack", channel, thread or uuid.uuid4().hex)
    turn = await app.dispatcher.accept(incoming(question, key))
    assert turn is not None
    return await app.dispatcher.start(turn, NullSurface())


async def reread(app: App, handbook: Path) -> None:
    source = open_source(str(handbook), fetch_allow=(), max_bytes=10**6, files=True)
    assert (await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)).failed == ()


async def outdated(app: App, outcome: Outcome) -> Sequence[str]:
    async with app.database.tenant(LOCAL_TENANT) as session:
        trace = await trace_of(session, tenant_id=LOCAL_TENANT, turn_id=outcome.turn_id)
    assert trace is not None
    return list((trace.details.get("outdated") or {}).get("documents", ()))


async def want_notices(app: App, channel: str = "C1") -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        await tenants.set_channel_settings(
            session, tenant_id=LOCAL_TENANT, channel_id=channel, change=lambda made: replace(made, change_notices=True)
        )


@dataclass
class Threads:
    """Shows messages in the threads of turns."""

    platform: Platform = "slack"
    error: Exception | None = None
    shown: dict[str, Screen] = field(default_factory=dict)

    async def served(self) -> Sequence[str]:
        return [LOCAL_TENANT]

    async def admins(self, tenant_id: str) -> Sequence[str]:
        return []

    def is_person(self, user_id: str) -> bool:
        return False

    async def send(self, tenant_id: str, user_id: str, notice: ButtonNotice) -> None:
        raise NotImplementedError

    def surface(self, turn: Turn) -> Surface:
        if self.error is not None:
            raise self.error
        return self.shown.setdefault(turn.id, Screen())


async def test_only_answers_that_cite_what_changed_are_marked(app: App, handbook: Path) -> None:
    lisbon = await ask(app, "What may a hotel in Lisbon cost?")
    dogs = await ask(app, "On which day are dogs welcome?")
    leave = await ask(app, "How many days of leave does everybody have?")
    (handbook / "travel.md").write_text(
        "# Travel\n\n## Hotels\n\nA hotel in Lisbon may cost 150 EUR a night. In Oslo it may cost 190 EUR.\n"
    )
    text = (handbook / "dogs.md").read_text()
    (handbook / "dogs.md").write_text(f"{text}\nBring a towel.\n")
    await maintain(app.services, LOCAL_TENANT)
    assert await outdated(app, lisbon) == []
    await reread(app, handbook)
    await maintain(app.services, LOCAL_TENANT)
    assert await outdated(app, lisbon) == ["Travel"]
    assert await outdated(app, dogs) == [], "what it cites is still there"
    assert await outdated(app, leave) == []
    later = await ask(app, "What may a hotel in Lisbon cost now?")
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await changed_answers.mark(session, tenant_id=LOCAL_TENANT) == 0, "nothing changed since"
        found = await questions.search(
            session,
            tenant_id=LOCAL_TENANT,
            reader="",
            start=app.services.clock().replace(year=2000),
            before=app.services.clock().replace(year=3000),
            kind="outdated",
        )
    assert [lisbon.turn_id.startswith(row.turn_id) for row in found.rows] == [True]
    assert await outdated(app, later) == []


async def test_an_answer_that_read_the_text_before_a_change_and_ended_after_it_is_marked(
    app: App, handbook: Path, admin_url: str
) -> None:
    dogs = await ask(app, "On which day are dogs welcome?")
    (handbook / "dogs.md").write_text("# Dogs\n\nNo dogs.\n")
    await reread(app, handbook)
    for state, marked in (("running", 0), ("done", 1)):
        with psycopg.connect(admin_url) as connection:
            connection.execute("UPDATE turns SET state = %s, finished_at = now()", (state,))
        async with app.database.tenant(LOCAL_TENANT) as session:
            assert await changed_answers.mark(session, tenant_id=LOCAL_TENANT) == marked
    assert await outdated(app, dogs) == ["Dogs"]


async def test_a_deleted_document_marks_its_answers(app: App) -> None:
    dogs = await ask(app, "On which day are dogs welcome?")
    async with app.database.tenant(LOCAL_TENANT) as session:
        number = await document_names.find(session, LOCAL_TENANT, "dogs.md")
        await document_catalog.delete(session, LOCAL_TENANT, number)
    await maintain(app.services, LOCAL_TENANT)
    assert await outdated(app, dogs) == ["Dogs"]


async def test_the_thread_is_told_once_where_the_channel_wants_it(app: App, handbook: Path, admin_url: str) -> None:
    await want_notices(app)
    told = await ask(app, "On which day are dogs welcome?")
    await ask(app, "On which day are dogs welcome?", channel="C2")
    await ask(app, "On which day are dogs welcome?", thread=f"{PRIVATE_THREAD}1")
    (handbook / "dogs.md").write_text("# Dogs\n\nNo dogs.\n")
    await reread(app, handbook)
    await maintain(app.services, LOCAL_TENANT)
    away, threads = Threads(error=PlatformAway("away")), Threads()
    await tell_everywhere(app.services, away)
    assert away.shown == {}, "it is tried again at the next round"
    await tell_everywhere(app.services, Threads(platform="discord"))
    for _ in range(2):
        await tell_everywhere(app.services, threads)
    assert list(threads.shown) == [told.turn_id]
    (part,) = [parts[-1] for parts in threads.shown[told.turn_id].messages.values()]
    assert "What my answer above cites has changed since: “Dogs”." in part.text
    assert part.actions == ("again",)
    with psycopg.connect(admin_url) as connection:
        assert connection.execute("SELECT count(*) FROM changed_answer_notices").fetchone() == (0,)


async def test_a_thread_that_is_gone_is_not_tried_again(app: App, handbook: Path) -> None:
    await want_notices(app)
    await ask(app, "On which day are dogs welcome?")
    (handbook / "dogs.md").write_text("# Dogs\n\nNo dogs.\n")
    await reread(app, handbook)
    await maintain(app.services, LOCAL_TENANT)
    await tell_everywhere(app.services, Threads(error=MessageGone("gone")))
    threads = Threads()
    await tell_everywhere(app.services, threads)
    assert threads.shown == {}
