"""Fills tenants with canary words, tries every way for every person in every channel, and judges what was shown."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.audiences import forged_jobs, web_pages
from benchmarks.audiences.access_attempts import (
    EVERY_AUDIENCE,
    FROM_ELSEWHERE,
    QUESTION,
    WAYS,
    Cell,
    Elsewhere,
    ask_about_file,
    asked_in,
)
from bot.app import App
from bot.commands import registry as commands
from bot.commands.base import Context
from bot.errors import ParleyError
from bot.store import tenants
from bot.types.audience import MEMBERS, Readers, Standing, decide
from bot.types.conversation import LOCAL_TENANT, Author, ThreadKey
from knowledge.errors import KnowledgeError
from knowledge.types.scope import TENANT_AUDIENCE
from knowledge.types.source_items import NOTHING_KNOWN, Failure, Fetched, Known

DOCUMENT = "# Harbor\n\nThe code word of the harbor master is {}. Nobody else may say it aloud.\n"

CHANNELS: Mapping[str, Readers] = {"general": "members", "partners": "shared", "visitors": "guests", "plaza": "public"}
DIRECT = "direct"
"""The person's direct message channel with the bot."""


@dataclass(frozen=True)
class Kind:
    """A kind of person. ``granted``: ``/admin grant`` made them an admin once."""

    standing: Standing
    is_admin: bool = False
    granted: bool = False


PEOPLE: Mapping[str, Kind] = {
    "member": Kind("member"),
    "admin": Kind("member", is_admin=True),
    "guest": Kind("guest"),
    "outsider": Kind("outsider"),
    "leaver": Kind("outsider", granted=True),
    "unchecked": Kind("unknown"),
}


@dataclass
class Harbor:
    """A source of one document."""

    uri: str
    canary: str
    kind: str = "upload"

    def count(self) -> int | None:
        return 1

    async def fetch(self, known: Known = NOTHING_KNOWN) -> AsyncIterator[Fetched | Failure]:
        """Yield the document."""
        yield Fetched(f"{self.uri}.md", DOCUMENT.format(self.canary).encode())


@dataclass
class Found:
    """What the matrix found. ``controls`` and ``ways`` count replies with canaries that the person may read."""

    checks: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    controls: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)


# --- the matrix


async def measure(
    app: App,
    tenant_ids: Sequence[str],
    *,
    channels: Sequence[str] = (*CHANNELS, DIRECT),
    people: Sequence[str] = tuple(PEOPLE),
    pages: bool = True,
) -> Found:
    """Fill the tenants, try every way for each person in each channel, then run the jobs and request the ``pages``."""
    found = Found()
    places = {tenant: await fill(app, tenant) for tenant in tenant_ids}
    for at, tenant in enumerate(tenant_ids):
        other = places[tenant_ids[(at + 1) % len(tenant_ids)]]
        for channel in channels:
            for person in people:
                await _try_all(app, found, places[tenant], other, channel, person)
    await forged_jobs.run_jobs(
        app, [(tenant, Harbor("upload:jobs.md", canary(tenant, "general"))) for tenant in tenant_ids]
    )
    if pages:
        await _try_pages(app, found, places[LOCAL_TENANT])
    return found


def canary(tenant_id: str, audience: str) -> str:
    """Return the word that stands in the documents of one audience alone, or in the file of one channel."""
    return "zq" + uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant_id}/{audience}").hex[:12]


def file_of(channel: str) -> str:
    """Return the name under which ``canary`` knows the file that is attached in a channel."""
    return f"file in {channel}"


def owners(tenant_ids: Sequence[str]) -> dict[str, str]:
    """Return the tenant of every canary."""
    names = (TENANT_AUDIENCE, *CHANNELS, DIRECT)
    return {
        canary(tenant, audience): tenant
        for tenant in tenant_ids
        for name in names
        for audience in (name, file_of(name))
    }


async def fill(app: App, tenant_id: str) -> Elsewhere:
    """Ingest a document for every audience; return what the person who asks first leaves in a channel."""
    async with app.database.tenant(tenant_id) as session:
        await tenants.ensure(session, tenant_id=tenant_id, platform="slack")
    for audience in (TENANT_AUDIENCE, *CHANNELS, DIRECT):
        source = Harbor(f"upload:{audience}", canary(tenant_id, audience))
        report = await app.ingestor.ingest([source], tenant_id=tenant_id, audience=audience)
        assert report.failed == ()
    boss = Author("boss", "Boss", is_admin=True)
    await commands.run("admin", "grant leaver", _member_context(app, tenant_id, "general", boss))
    for channel in (*CHANNELS, DIRECT):
        await commands.run("settings", "auto-answer on", _member_context(app, tenant_id, channel, boss))
    listed = await commands.run("docs", "list", _member_context(app, tenant_id, "general", boss))
    assert listed.table is not None
    columns = listed.table.columns
    at_audience, at_id = columns.index("audience"), columns.index("id")
    document = next(str(row[at_id]) for row in listed.table.rows if row[at_audience] == TENANT_AUDIENCE)
    threads = {channel: await _attach_file(app, tenant_id, channel) for channel in (*CHANNELS, DIRECT)}
    return replace(await _first_questions(app, tenant_id, "general", document), file_threads=threads)


async def _attach_file(app: App, tenant_id: str, channel: str) -> str:
    """Let a member ask about an attached file; return the thread."""
    key = ThreadKey(tenant_id, "slack", channel, uuid.uuid4().hex)
    await ask_about_file(app, key, Author("ann", "Ann"), MEMBERS, canary(tenant_id, file_of(channel)))
    return key.thread_id


async def _first_questions(app: App, tenant_id: str, channel: str, document: str) -> Elsewhere:
    """Let a member ask in the channel, and privately."""
    first, thread = Author("ann", "Ann"), uuid.uuid4().hex
    wide = await asked_in(app, tenant_id, channel, thread, first, QUESTION, MEMBERS)
    private = await commands.run("ask", QUESTION, _member_context(app, tenant_id, channel, first))
    return Elsewhere(tenant_id, channel, thread, wide.turn_id, private.turn_id, document)


def _member_context(app: App, tenant_id: str, channel: str, author: Author) -> Context:
    return Context(tenant_id, "slack", channel, None, author, app.services, audience=MEMBERS)


async def _try_all(app: App, found: Found, place: Elsewhere, other: Elsewhere, channel: str, person: str) -> None:
    here = await _first_questions(app, place.tenant_id, channel, place.document)
    kind = PEOPLE[person]
    audience = decide(kind.standing, CHANNELS.get(channel, "members"), direct=channel == DIRECT)
    author = Author(person, person.title(), kind.is_admin, kind.standing)
    cell = Cell(
        app,
        here.tenant_id,
        channel,
        person,
        author,
        audience,
        here.thread,
        here.wide,
        here.private,
        here.document,
        place.file_threads[channel],
        other,
    )
    for name, way in WAYS.items():
        if name in FROM_ELSEWHERE and other.tenant_id == cell.tenant_id:
            continue
        found.checks[person] += 1
        try:
            text = await way(cell)
        except (ParleyError, KnowledgeError) as refusal:
            text = str(refusal)
        _judge(found, cell, name, text)


def _judge(found: Found, cell: Cell, way: str, text: str) -> None:
    where = f"{cell.tenant_id}, #{cell.channel} ({cell.audience.readers}), {cell.person}, {way}"
    if not text.strip():
        found.silent.append(where)
    allowed = {cell.channel, file_of(cell.channel)} | ({TENANT_AUDIENCE} if cell.audience.tenant_wide else set())
    if cell.audience.refused:
        allowed = set()
    if cell.author.is_admin:
        # An admin sees the documents of every audience, and what answers used, in replies that they alone see.
        allowed |= {TENANT_AUDIENCE, *CHANNELS, DIRECT} if way in EVERY_AUDIENCE else set()
        allowed |= {TENANT_AUDIENCE} if way.startswith(("/sources", "/why")) else set()
    _count(found, cell.person, way, where, text, {canary(cell.tenant_id, audience) for audience in allowed})


def _count(found: Found, person: str, way: str, where: str, text: str, permitted: set[str]) -> None:
    every = {word for word in _words(text) if word.startswith("zq")}
    found.leaks += [f"{where}: {word}" for word in sorted(every - permitted)]
    if text.startswith("LEAK"):
        found.leaks.append(where)
    if every & permitted:
        found.controls[person] += 1
        found.ways[way] += 1


async def _try_pages(app: App, found: Found, place: Elsewhere) -> None:
    """Request every page. Admins may see what public answers used, members what is for everybody, others nothing.

    A command and its reply are for the person who runs it alone.
    """
    private = {person: canary(LOCAL_TENANT, f"command of {person}") for person in web_pages.PEOPLE}
    answers = {"public": place.wide, "private": place.private}
    for (person, page), text in (await web_pages.pages(app, place.thread, answers, private)).items():
        found.checks["web"] += 1
        readable: set[str] = set()
        if person in web_pages.MEMBERS | web_pages.ADMINS:
            readable = {TENANT_AUDIENCE, f"command of {person}"}
        if person in web_pages.ADMINS and not page.endswith("of a private answer"):
            readable |= {*CHANNELS, DIRECT}
        permitted = {canary(LOCAL_TENANT, audience) for audience in readable}
        _count(found, "web", f"{person}, {page}", f"{LOCAL_TENANT}, page, web, {person}, {page}", text, permitted)


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()


def report(found: Found) -> str:
    """Return the table of checks, leaks and silences by kind of person."""
    lines = [f"{'person':<12}{'checks':>8}{'leaks':>8}{'silent':>8}{'permitted canaries shown':>28}"]
    for person in found.checks:
        leaks = sum(f", {person}," in leak for leak in found.leaks)
        silent = sum(f", {person}," in one for one in found.silent)
        lines.append(f"{person:<12}{found.checks[person]:>8}{leaks:>8}{silent:>8}{found.controls[person]:>28}")
    total = (found.checks.total(), len(found.leaks), len(found.silent), found.controls.total())
    lines.append(f"{'all':<12}{total[0]:>8}{total[1]:>8}{total[2]:>8}{total[3]:>28}")
    return "\n".join([*lines, *found.leaks[:20], *found.silent[:20]])
