"""Serves answers that people did not like as cases for ``parley eval answers``, one a line (JSONL)."""

from __future__ import annotations

from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.commands.services import Services
from bot.platforms.web.admin import user_messages
from bot.platforms.web.http_messages import NO_STORE, identity_of
from bot.reports import feedback_cases
from knowledge.whole_numbers import whole_number

DEFAULT_DAYS = 30
MOST_DAYS = 3650


class CasesFile:
    """The file of one tenant. ``?turn=ID`` is the case of one answer, ``?days=N`` those of a period."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._respond(Request(scope)))(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        turn_id = request.query_params.get("turn")
        days = min(whole_number(request.query_params.get("days", "")) or DEFAULT_DAYS, MOST_DAYS)
        async with self._services.database.tenant(self._tenant) as session:
            cases = await feedback_cases.cases(
                session,
                tenant_id=self._tenant,
                start=self._services.clock() - timedelta(days=days),
                reader=identity_of(request).id,
                turn_id=turn_id,
            )
        if turn_id and not cases:
            raise HTTPException(404, user_messages.UNKNOWN_QUESTION)
        disposition = {"Content-Disposition": 'attachment; filename="cases.jsonl"'}
        return Response(
            feedback_cases.as_jsonl(cases), headers={**NO_STORE, **disposition}, media_type="application/x-ndjson"
        )
