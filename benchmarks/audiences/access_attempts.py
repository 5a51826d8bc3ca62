"""The ways in which a person tries to read what is not for them: questions, commands, buttons, files, other tenants."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.shared import harness
from bot.app import App
from bot.commands import ask
from bot.commands import registry as commands
from bot.commands.ask import NullSurface
from bot.commands.base import Context, Reply
from bot.platforms.discord import autocomplete
from bot.types.audience import Audience
from bot.types.conversation import Attachment, Author, Incoming, StoredAttachment, ThreadAbove, ThreadKey
from bot.types.turns import Outcome

QUESTION = "What is the code word of the harbor master?"
FOLLOW_UP = "And which code word did the harbor master choose?"
FILE_QUESTION = "Which code word does the attached file name for the lighthouse keeper?"


@dataclass(frozen=True)
class Elsewhere:
    """IDs of another place that the person guessed or was told: a thread with a file, answers, a document."""

    tenant_id: str
    channel: str
    thread: str
    wide: str
    private: str
    document: str
    file_threads: Mapping[str, str] = field(default_factory=dict)
    """For each channel, a thread with an attached file."""


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
    file_thread: str
    elsewhere: Elsewhere

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
        return await asked_in(self.app, self.tenant_id, self.channel, thread, self.author, text, self.audience)

    async def command(self, name: str, args: str = "") -> str:
        """Run a command and return everything that it shows."""
        return text_of(await commands.run(name, args, self.context))


async def asked_in(
    app: App, tenant_id: str, channel: str, thread: str, author: Author, text: str, audience: Audience
) -> Outcome:
    key = ThreadKey(tenant_id, "slack", channel, thread)
    outcome = await harness.ask(app.dispatcher, key, author, text, audience)
    await app.dispatcher.settled()
    return outcome


class WithFile(NullSurface):
    """A place where the question has an attached file."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def fetch(self, file: StoredAttachment) -> bytes:
        """Return the file's bytes."""
        return self._body

    async def above(self) -> ThreadAbove | None:
        """Return None: there is nothing above the question."""
        return None


async def ask_about_file(app: App, thread: ThreadKey, author: Author, audience: Audience, word: str) -> None:
    """Ask a question with an attached file that contains the word."""
    body = f"The code word of the lighthouse keeper is {word}.".encode()

    async def read() -> bytes:
        return body

    file = Attachment("lighthouse.txt", "text/plain", len(body), read, ref="file-1")
    turn = await app.dispatcher.accept(
        Incoming(
            thread,
            uuid.uuid4().hex,
            author,
            FILE_QUESTION,
            "mention",
            datetime.now(UTC),
            attachments=(file,),
            audience=audience,
        )
    )
    assert turn is not None
    await app.dispatcher.start(turn, WithFile(body))
    await app.dispatcher.settled()


def text_of(reply: Reply) -> str:
    rows = [str(cell) for row in (reply.table.rows if reply.table else ()) for cell in row]
    return "\n".join([reply.text, *rows])


def shown(outcome: Outcome) -> str:
    """Return what is shown of an answer and under it."""
    return "\n".join([ask.text_of(outcome), *map(str, outcome.trace.get("notes", ()))])


async def _question(cell: Cell) -> str:
    return shown(await cell.asked(QUESTION, uuid.uuid4().hex))


async def _follow_up(cell: Cell) -> str:
    return shown(await cell.asked(FOLLOW_UP, cell.thread))


async def _again(cell: Cell) -> str:
    turn = await cell.app.dispatcher.repeat(
        cell.wide, cell.author, tenant_id=cell.tenant_id, wish=None, audience=cell.audience
    )
    outcome = await cell.app.dispatcher.start(turn, NullSurface())
    await cell.app.dispatcher.settled()
    return shown(outcome)


async def _ask_privately(cell: Cell) -> str:
    return await cell.command("ask", QUESTION)


async def _share(cell: Cell) -> str:
    place = ThreadKey(cell.tenant_id, "slack", cell.channel, "")
    reply = await commands.run("ask", QUESTION, cell.context)
    await ask.check_share(cell.app.services, place, reply.turn_id, cell.author, cell.audience)
    return text_of(reply)


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


# --- without a mention, files, and IDs from elsewhere


async def _unmentioned(cell: Cell) -> str:
    """Write a question that mentions nobody. Silence is an answer here."""
    key = ThreadKey(cell.tenant_id, "slack", cell.channel, uuid.uuid4().hex)
    message = Incoming(
        key, uuid.uuid4().hex, cell.author, QUESTION, "overheard", datetime.now(UTC), audience=cell.audience
    )
    turn = await cell.app.dispatcher.accept_unmentioned(message)
    if turn is None:
        return "no answer without a mention"
    outcome = await cell.app.dispatcher.start(turn, NullSurface())
    await cell.app.dispatcher.settled()
    return shown(outcome)


async def _attached_here(cell: Cell) -> str:
    return shown(await cell.asked(FILE_QUESTION, cell.file_thread))


async def _attached_in_new_thread(cell: Cell) -> str:
    return shown(await cell.asked(FILE_QUESTION, uuid.uuid4().hex))


async def _attached_privately(cell: Cell) -> str:
    return await cell.command("ask", FILE_QUESTION)


async def _thread_of_elsewhere(cell: Cell) -> str:
    """Ask in this channel under the ID of a thread that another place has."""
    return shown(await cell.asked(FILE_QUESTION, cell.elsewhere.file_threads["general"]))


async def _document_of_elsewhere(cell: Cell) -> str:
    return await cell.command("docs", f"show {cell.elsewhere.document}")


async def _delete_document_of_elsewhere(cell: Cell) -> str:
    await cell.command("docs", f"delete {cell.elsewhere.document}")
    return f"LEAK of {cell.elsewhere.document}"


async def _sources_of_elsewhere(cell: Cell) -> str:
    return await cell.command("sources", cell.elsewhere.wide)


async def _why_of_elsewhere(cell: Cell) -> str:
    return await cell.command("why", cell.elsewhere.wide)


async def _private_of_elsewhere(cell: Cell) -> str:
    return await cell.command("why", cell.elsewhere.private)


async def _again_of_elsewhere(cell: Cell) -> str:
    await cell.app.dispatcher.repeat(
        cell.elsewhere.wide, cell.author, tenant_id=cell.tenant_id, wish=None, audience=cell.audience
    )
    return f"LEAK of {cell.elsewhere.wide}"


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
    "question without a mention": _unmentioned,
    "attached file, in its thread": _attached_here,
    "attached file, in a new thread": _attached_in_new_thread,
    "attached file, /ask": _attached_privately,
    "thread ID from elsewhere": _thread_of_elsewhere,
    "/docs show from elsewhere": _document_of_elsewhere,
    "/docs delete from elsewhere": _delete_document_of_elsewhere,
    "/sources from elsewhere": _sources_of_elsewhere,
    "/why from elsewhere": _why_of_elsewhere,
    "/why of a private answer from elsewhere": _private_of_elsewhere,
    "ask again from elsewhere": _again_of_elsewhere,
}
EVERY_AUDIENCE = frozenset({"/docs list", "/docs show", "suggestions while typing"})
"""Replies in which an admin alone sees documents of every channel."""
FROM_ELSEWHERE = frozenset(name for name in WAYS if name.endswith("from elsewhere"))
"""Ways that use IDs of another tenant."""
