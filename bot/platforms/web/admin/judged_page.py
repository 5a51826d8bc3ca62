"""The admin page of the answers that a judge checked in the background: the pass rate by day, and what failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands.services import Services
from bot.evals.agreement import wilson
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.page_model import Bar, Cell, Page, Table, link
from bot.platforms.web.admin.rendering import respond
from bot.store import judgments
from bot.store.judgments import JudgedDay

DAYS = 30
MOST_FAILED = 100


class JudgedPage:
    """The page of one tenant."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id

    def routes(self) -> list[Route]:
        """Return the route of the page."""
        return [Route("/admin/judged", self._shown)]

    async def _shown(self, request: Request) -> Response:
        start = self._services.clock() - timedelta(days=DAYS)
        async with self._services.database.tenant(self._tenant) as session:
            found = await judgments.days(session, tenant_id=self._tenant, start=start)
            failed = await judgments.failed(session, tenant_id=self._tenant, start=start, most=MOST_FAILED)
        rows = [
            [
                Cell(row.created_at),
                Cell(row.question, link(f"questions/{row.turn_id}")),
                Cell(row.score),
                Cell(row.model),
                Cell(row.prompt_version),
            ]
            for row in failed
        ]
        columns = ("At", "Question", "Score", "Judge", "Prompt version")
        tables = [_days(found), Table("failed", "Did not pass", columns, rows, user_messages.NOTHING_FAILED)]
        bars = [Bar(str(one.day), 100 * one.passed / one.judged, link("judged")) for one in found if one.judged]
        return respond(request, Page("judged", "Judged answers", tables, (), bars, user_messages.RATE_BY_DAY))


def _days(found: Sequence[JudgedDay]) -> Table:
    columns = ("Day", "Judged", "Passed", "Pass rate", "At least", "At most", "Not judged", "Waiting")
    rows = []
    for one in found:
        low, high = wilson(one.passed, one.judged)
        rate = one.passed / one.judged if one.judged else None
        cells = (str(one.day), one.judged, one.passed, rate, low, high, one.not_judged, one.waiting)
        rows.append([Cell(value) for value in cells])
    return Table("days", "By day, with the interval of 95%", columns, rows, user_messages.NOTHING_JUDGED)
