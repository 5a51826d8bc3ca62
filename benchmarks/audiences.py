"""Counts canary words that reach people who may not read them, over tenants, channels, kinds of people and ways to ask.

    python -m benchmarks.audiences [--tenants 3]

Every tenant has a document for everybody and one for each channel, each with a canary word of its own. In every channel
a member asks first, so that an answer from tenant-wide documents is cached, stored in a thread, and known by its ID.
Then each kind of person uses every way to get at it. A leak is a canary in a reply that not everybody who reads the
reply may read. Silence counts too: a refusal must say why.
"""

from __future__ import annotations

import argparse
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from benchmarks import harness
from benchmarks.harness import fresh_postgres, run
from bot import commands
from bot.app import App, open_app
from bot.commands import ask
from bot.commands.ask import NullSurface
from bot.commands.base import Context, Reply
from bot.config import Settings
from bot.errors import ParleyError
from bot.platforms.discord import autocomplete
from bot.store import tenants
from bot.types.audience import MEMBERS, Audience, Readers, Standing, decide
from bot.types.conversation import LOCAL_TENANT, Author, ThreadKey
from bot.types.turns import Outcome
from knowledge.errors import KnowledgeError
from knowledge.types import NOTHING_KNOWN, TENANT_AUDIENCE, Failure, Fetched, Known

QUESTION = "What is the code word of the harbor master?"
FOLLOW_UP = "And which code word did the harbor master choose?"
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
    """What the matrix found. ``controls`` counts canaries that were shown to people who may read them."""

    checks: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    controls: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Cell:
    """One person in one channel of one tenant. ``wide`` and ``private`` are answers of the member who asked first."""

    app: App
    tenant_id: str
    channel: str
    person: str
    author: Author
    audience: Audience
    thread: str
    wide: str
    private: str
    document: str

    @property
    def context(self) -> Context:
        """Return the context of a command that the person runs in the thread of the first question."""
        return Context(
            self.tenant_id,
            "slack",
            self.channel,
            self.thread,
            self.author,
            self.app.services,
            audience=self.audience,
        )

    async def asked(self, text: str, thread: str) -> Outcome:
        """Ask a question in a thread and return the outcome."""
        return await _asked(self.app, self.tenant_id, self.channel, thread, self.author, text, self.audience)

    async def command(self, name: str, args: str = "") -> str:
        """Run a command and return everything that it shows."""
        return _text(await commands.run(name, args, self.context))


async def _asked(
    app: App, tenant_id: str, channel: str, thread: str, author: Author, text: str, audience: Audience
) -> Outcome:
    key = ThreadKey(tenant_id, "slack", channel, thread)
    outcome = await harness.ask(app.dispatcher, key, author, text, audience)
    await app.dispatcher.settled()
    return outcome


def _text(reply: Reply) -> str:
    rows = [str(cell) for row in (reply.table.rows if reply.table else ()) for cell in row]
    return "\n".join([reply.text, *rows])


def _shown(outcome: Outcome) -> str:
    """Return what is shown of an answer and under it."""
    return "\n".join([ask.text_of(outcome), *map(str, outcome.trace.get("notes", ()))])


# --- the ways to ask


async def _question(cell: Cell) -> str:
    return _shown(await cell.asked(QUESTION, uuid.uuid4().hex))


async def _follow_up(cell: Cell) -> str:
    return _shown(await cell.asked(FOLLOW_UP, cell.thread))


async def _again(cell: Cell) -> str:
    turn = await cell.app.dispatcher.repeat(
        cell.wide, cell.author, tenant_id=cell.tenant_id, wish=None, audience=cell.audience
    )
    outcome = await cell.app.dispatcher.start(turn, NullSurface())
    await cell.app.dispatcher.settled()
    return _shown(outcome)


async def _ask_privately(cell: Cell) -> str:
    return await cell.command("ask", QUESTION)


async def _share(cell: Cell) -> str:
    place = ThreadKey(cell.tenant_id, "slack", cell.channel, "")
    reply = await commands.run("ask", QUESTION, cell.context)
    await ask.check_share(cell.app.services, place, reply.turn_id, cell.author, cell.audience)
    return _text(reply)


async def _document(cell: Cell) -> str:
    return await cell.command("docs", f"show {cell.document}")


async def _documents(cell: Cell) -> str:
    return await cell.command("docs", "list")


async def _sources(cell: Cell) -> str:
    return await cell.command("sources", cell.wide)


async def _why(cell: Cell) -> str:
    return await cell.command("why", cell.wide)


async def _last_sources(cell: Cell) -> str:
    return await cell.command("sources")


async def _memory(cell: Cell) -> str:
    return await cell.command("memory")


async def _suggestions(cell: Cell) -> str:
    place = ThreadKey(cell.tenant_id, "slack", cell.channel, cell.thread)
    found = [
        await autocomplete.suggest(cell.app.services, what, place, cell.author, cell.audience, "")
        for what in ("documents", "sources", "facts")
    ]
    return f"suggestions: {found}"


async def _allow(cell: Cell) -> str:
    """Try to open the channel; whoever may not must be told."""
    if cell.author.is_admin:
        return "not tried"
    return await cell.command("settings", "external on")


async def _sources_of_private(cell: Cell) -> str:
    return await cell.command("sources", cell.private)


async def _why_of_private(cell: Cell) -> str:
    return await cell.command("why", cell.private)


async def _again_of_private(cell: Cell) -> str:
    await cell.app.dispatcher.repeat(
        cell.private, cell.author, tenant_id=cell.tenant_id, wish=None, audience=cell.audience
    )
    return f"LEAK of {cell.private}"


async def _rate_private(cell: Cell) -> str:
    await cell.app.dispatcher.rate(cell.private, cell.author, tenant_id=cell.tenant_id, value=1)
    return f"LEAK of {cell.private}"


WAYS: Mapping[str, Callable[[Cell], Awaitable[str]]] = {
    "question, cached for members": _question,
    "follow-up in a member's thread": _follow_up,
    "ask again on a member's answer": _again,
    "/ask": _ask_privately,
    "share a private answer": _share,
    "/docs list": _documents,
    "/docs show": _document,
    "/sources of a member's answer": _sources,
    "/why of a member's answer": _why,
    "/sources in the thread": _last_sources,
    "/memory": _memory,
    "suggestions while typing": _suggestions,
    "/settings external on": _allow,
    "/sources of a private answer": _sources_of_private,
    "/why of a private answer": _why_of_private,
    "ask again on a private answer": _again_of_private,
    "rate a private answer": _rate_private,
}
EVERY_AUDIENCE = frozenset({"/docs list", "/docs show", "suggestions while typing"})
"""Replies in which an admin alone sees documents of every channel."""


# --- the matrix


async def measure(app: App, tenant_ids: tuple[str, ...]) -> Found:
    """Fill the tenants and try every way for every person in every channel."""
    found = Found()
    documents = {tenant: await _fill(app, tenant) for tenant in tenant_ids}
    for tenant in tenant_ids:
        for channel in (*CHANNELS, DIRECT):
            for person, kind in PEOPLE.items():
                await _try_all(app, found, tenant, channel, person, kind, documents[tenant])
    return found


def canary(tenant_id: str, audience: str) -> str:
    """Return the word that stands in the documents of one audience alone."""
    return "zq" + uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant_id}/{audience}").hex[:12]


async def _fill(app: App, tenant_id: str) -> str:
    """Ingest a document for every audience; return the ID of the tenant-wide one."""
    async with app.database.tenant(tenant_id) as session:
        await tenants.ensure(session, tenant_id=tenant_id, platform="slack")
    for audience in (TENANT_AUDIENCE, *CHANNELS, DIRECT):
        source = Harbor(f"upload:{audience}", canary(tenant_id, audience))
        report = await app.ingestor.ingest([source], tenant_id=tenant_id, audience=audience)
        assert report.failed == ()
    boss = Author("boss", "Boss", is_admin=True)
    await commands.run("admin", "grant leaver", _member_context(app, tenant_id, "general", boss))
    listed = await commands.run("docs", "list", _member_context(app, tenant_id, "general", boss))
    assert listed.table is not None
    columns = listed.table.columns
    at_audience, at_id = columns.index("audience"), columns.index("id")
    return next(str(row[at_id]) for row in listed.table.rows if row[at_audience] == TENANT_AUDIENCE)


def _member_context(app: App, tenant_id: str, channel: str, author: Author) -> Context:
    return Context(tenant_id, "slack", channel, None, author, app.services, audience=MEMBERS)


async def _try_all(
    app: App, found: Found, tenant_id: str, channel: str, person: str, kind: Kind, document: str
) -> None:
    first, thread = Author("ann", "Ann"), uuid.uuid4().hex
    wide = await _asked(app, tenant_id, channel, thread, first, QUESTION, MEMBERS)
    private = await commands.run("ask", QUESTION, _member_context(app, tenant_id, channel, first))
    readers = CHANNELS.get(channel, "members")
    audience = decide(kind.standing, readers, direct=channel == DIRECT)
    author = Author(person, person.title(), kind.is_admin, kind.standing)
    cell = Cell(app, tenant_id, channel, person, author, audience, thread, wide.turn_id, private.turn_id, document)
    for name, way in WAYS.items():
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
    allowed = {cell.channel} | ({TENANT_AUDIENCE} if cell.audience.tenant_wide else set())
    if cell.audience.refused:
        allowed = set()
    if cell.author.is_admin:
        # An admin sees the documents of every audience, and what answers used, in replies that they alone see.
        allowed |= {TENANT_AUDIENCE, *CHANNELS, DIRECT} if way in EVERY_AUDIENCE else set()
        allowed |= {TENANT_AUDIENCE} if way.startswith(("/sources", "/why")) else set()
    permitted = {canary(cell.tenant_id, audience) for audience in allowed}
    every = {word for word in _words(text) if word.startswith("zq")}
    found.leaks += [f"{where}: {word}" for word in sorted(every - permitted)]
    if text.startswith("LEAK"):
        found.leaks.append(where)
    if every & permitted:
        found.controls[cell.person] += 1


def _words(text: str) -> list[str]:
    return "".join(char if char.isalnum() else " " for char in text).split()


def report(found: Found) -> str:
    """Return the table of checks, leaks and silences by kind of person."""
    lines = [f"{'person':<12}{'checks':>8}{'leaks':>8}{'silent':>8}{'permitted canaries shown':>28}"]
    for person in PEOPLE:
        leaks = sum(f", {person}," in leak for leak in found.leaks)
        silent = sum(f", {person}," in one for one in found.silent)
        lines.append(f"{person:<12}{found.checks[person]:>8}{leaks:>8}{silent:>8}{found.controls[person]:>28}")
    total = (found.checks.total(), len(found.leaks), len(found.silent), found.controls.total())
    lines.append(f"{'all':<12}{total[0]:>8}{total[1]:>8}{total[2]:>8}{total[3]:>28}")
    return "\n".join([*lines, *found.leaks[:20], *found.silent[:20]])


async def _main(tenant_count: int, url: str, folder: Path) -> Found:
    settings = Settings(_env_file=None, database_url=SecretStr(url), data_dir=folder, reranker="none")
    tenant_ids = (LOCAL_TENANT, *(f"slack:T{number}" for number in range(2, tenant_count + 1)))
    async with open_app(settings) as app:
        return await measure(app, tenant_ids)


def main() -> None:
    """Print the table; exit with 1 if there is a leak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=3)
    given = parser.parse_args()
    with fresh_postgres() as url, tempfile.TemporaryDirectory() as folder:
        found = run(_main(given.tenants, url, Path(folder)))
    print(report(found))
    if found.leaks or found.silent:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
