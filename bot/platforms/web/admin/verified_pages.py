"""The admin pages of verified answers: a list, one answer, and the forms that add, renew and remove them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands import verified_answers as commands
from bot.commands.services import Services
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.forms import Change, Handler, posted
from bot.platforms.web.admin.page_model import Cell, Field, Form, Page, Table, Text, link
from bot.platforms.web.admin.rendering import respond
from bot.platforms.web.http_messages import identity_of
from bot.store.turns import turns
from bot.store.verified_answers import records
from bot.types.conversation import PRIVATE_THREAD, Author
from bot.types.verified_answers import VerifiedAnswer
from knowledge.types.scope import TENANT_AUDIENCE

_COLUMNS = ("Verified", "Question", "Answer", "For", "Owner", "Until", "State", "ID")
_OWNER = Field("owner", user_messages.OWNER)
_UNTIL = Field("until", user_messages.UNTIL)
_ALSO = Field("also", user_messages.ALSO, lines=2)


def form_of_turn(row: Any) -> Form:
    """Return the form that verifies the answer of a turn, as it is or as it is changed there."""
    fields = [Field("answer", user_messages.ANSWER, row.answer, 6), _ALSO, _UNTIL, _OWNER]
    return Form(user_messages.VERIFY_ANSWER, link(f"questions/{row.turn_id}/verify"), user_messages.VERIFY, fields)


class VerifiedPages:
    """The pages of one tenant's verified answers."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id

    def routes(self) -> list[Route]:
        """Return the routes of the pages and of their forms."""
        one = "/admin/verified/{answer_id}"
        return [
            Route("/admin/verified", self._shown),
            Route("/admin/verified", self._posted(self._add), methods=["POST"]),
            Route(one, self._shown),
            Route(f"{one}/renew", self._posted(self._renew), methods=["POST"]),
            Route(f"{one}/remove", self._posted(self._remove), methods=["POST"]),
            Route("/admin/questions/{turn_id}/verify", self._posted(self._verify_turn), methods=["POST"]),
        ]

    def _posted(self, change: Change) -> Handler:
        return posted(change, self._page)

    async def _shown(self, request: Request) -> Response:
        return respond(request, await self._page(request))

    async def _page(self, request: Request) -> Page:
        """Return the page of the answer in the path, otherwise the list. Raises HTTPException."""
        if "answer_id" in request.path_params:
            return _answer_page(await self._known(request))
        async with self._services.database.tenant(self._tenant) as session:
            found = await records.every(session, tenant_id=self._tenant)
        fields = [
            Field("question", user_messages.QUESTION),
            _ALSO,
            Field("answer", user_messages.ANSWER, lines=6),
            Field("sources", user_messages.SOURCES, lines=2),
            Field("channel", user_messages.CHANNEL),
            _UNTIL,
            replace(_OWNER, value=identity_of(request).name),
        ]
        form = Form(user_messages.WRITE_VERIFIED, link("verified"), user_messages.VERIFY, fields)
        return Page("verified", "Verified answers", [_table(found)], forms=[form])

    async def _known(self, request: Request) -> VerifiedAnswer:
        async with self._services.database.tenant(self._tenant) as session:
            typed = request.path_params["answer_id"]
            known = await records.find(session, tenant_id=self._tenant, typed=typed)
        if known is None:
            raise HTTPException(404, user_messages.UNKNOWN_VERIFIED)
        return known

    async def _add(self, request: Request, given: Mapping[str, str]) -> str:
        now = self._services.clock()
        draft = commands.Draft(
            question=given.get("question", ""),
            answer=given.get("answer", ""),
            also=_lines(given, "also"),
            sources=_lines(given, "sources"),
            audience=given.get("channel") or TENANT_AUDIENCE,
            expires_at=self._expiry(given),
        )
        owner = _owner(request, given)

        async def store(session: AsyncSession) -> VerifiedAnswer:
            return await commands.add_written(
                session, draft, tenant_id=self._tenant, platform="web", owner=owner, now=now
            )

        return link(f"verified/{(await self._services.database.run(self._tenant, store)).id}")

    async def _verify_turn(self, request: Request, given: Mapping[str, str]) -> str:
        turn_id, reader, now = request.path_params["turn_id"], identity_of(request).id, self._services.clock()
        owner, expires = _owner(request, given), self._expiry(given)

        async def store(session: AsyncSession) -> VerifiedAnswer:
            row = await turns.row_of(session, tenant_id=self._tenant, turn_id=turn_id)
            if row is None or (row.thread_id.startswith(PRIVATE_THREAD) and row.user_id != reader):
                raise HTTPException(404, user_messages.UNKNOWN_QUESTION)
            return await commands.add_turn(
                session,
                row,
                platform="web",
                owner=owner,
                for_everyone=False,
                now=now,
                expires=expires,
                answer=given.get("answer") or None,
                also=_lines(given, "also"),
            )

        return link(f"verified/{(await self._services.database.run(self._tenant, store)).id}")

    async def _renew(self, request: Request, given: Mapping[str, str]) -> str:
        known, owner, expires = await self._known(request), _owner(request, given), self._expiry(given)

        async def store(session: AsyncSession) -> None:
            await records.renew(
                session,
                tenant_id=self._tenant,
                known=known,
                platform="web",
                owner=(owner.id, owner.name),
                now=self._services.clock(),
                expires_at=expires,
            )

        await self._services.database.run(self._tenant, store)
        return link(f"verified/{known.id}")

    async def _remove(self, request: Request, given: Mapping[str, str]) -> str:
        known = await self._known(request)
        await self._services.database.run(
            self._tenant, lambda session: records.remove(session, tenant_id=self._tenant, answer_id=known.id)
        )
        return link("verified")

    def _expiry(self, given: Mapping[str, str]) -> Any:
        days = self._services.settings.verified_days
        return commands.expiry(given.get("until"), self._services.clock(), default_days=days)


def _lines(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in given.get(name, "").splitlines() if line.strip())


def _owner(request: Request, given: Mapping[str, str]) -> Author:
    identity = identity_of(request)
    return Author(identity.id, given.get("owner") or identity.name, is_admin=True)


def _table(found: list[VerifiedAnswer]) -> Table:
    rows = [
        [
            Cell(one.verified_at),
            Cell(one.questions[0], link(f"verified/{one.id}")),
            Cell(one.answer),
            Cell("everybody" if one.audience == TENANT_AUDIENCE else one.audience),
            Cell(one.owner_name or one.owner_id),
            Cell(one.expires_at),
            Cell(one.stale or "in force"),
            Cell(one.id[: commands.SHORT_CHARS]),
        ]
        for one in found
    ]
    return Table("verified", "Latest first", _COLUMNS, rows, user_messages.NO_VERIFIED)


def _answer_page(known: VerifiedAnswer) -> Page:
    path = f"verified/{known.id}"
    texts = [Text("Questions", "\n".join(known.questions)), Text("Answer", known.answer)]
    sources = [[Cell(one.n), Cell(one.title), Cell(one.source), Cell(one.quote)] for one in known.citations]
    again = Form(
        user_messages.VERIFY_AGAIN,
        link(f"{path}/renew"),
        user_messages.VERIFY_AGAIN,
        [_UNTIL, replace(_OWNER, value=known.owner_name)],
    )
    remove = Form(user_messages.REMOVE, link(f"{path}/remove"), user_messages.REMOVE)
    made_from = [[Cell(known.turn_id[: commands.SHORT_CHARS], link(f"questions/{known.turn_id}"))]]
    tables = [
        _table([known]),
        Table("sources", "Sources", ("Number", "Title", "Source", "Quote"), sources, "It cites no document."),
    ]
    if known.turn_id:
        tables.append(Table("turn", "Made from", ("Answer",), made_from, ""))
    return Page("verified", f"Verified answer {known.id[:8]}", tables, texts=texts, forms=[again, remove])
