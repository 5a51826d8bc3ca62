"""The admin page of what the documents do not answer, and of documents that seem to contradict each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands.gap_digest import encoder
from bot.commands.services import Services
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.page_model import Cell, Choice, Page, Table, link
from bot.platforms.web.admin.rendering import respond
from bot.platforms.web.http_messages import identity_of
from bot.reports import contradictions, gaps
from bot.reports.contradictions import Contradiction
from bot.reports.gaps import WHY, Gap, Readers
from bot.types.bounded_mapping import RecentEntries
from knowledge.whole_numbers import whole_number

PERIODS = {7: "7 days", 30: "30 days", 90: "90 days"}
MOST_QUESTIONS = 500
"""The latest questions that the page groups, so that it does not take long."""
MOST_VECTORS = 5000


class GapsPage:
    """The page of one tenant. It keeps the vectors of questions, so that only later ones are encoded the next time."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id
        self._vectors: RecentEntries[str, Any] = RecentEntries(MOST_VECTORS)

    def routes(self) -> list[Route]:
        """Return the route of the page."""
        return [Route("/admin/gaps", self._shown)]

    async def _shown(self, request: Request) -> Response:
        days = whole_number(request.query_params.get("days", "")) or 0
        return respond(request, await self.page(days, identity_of(request).id))

    async def page(self, days: int, reader: str) -> Page:
        """Return the page for an admin. Other people's private questions are left out."""
        days = days if days in PERIODS else 7
        start = self._services.clock() - timedelta(days=days)
        readers, model = Readers(user_id=reader), self._services.models.current.model
        async with self._services.database.tenant(self._tenant) as session:
            found = await gaps.gaps(
                session,
                tenant_id=self._tenant,
                start=start,
                encode=self._encode,
                model=model,
                readers=readers,
                most=MOST_QUESTIONS,
            )
            disagreeing = await contradictions.contradictions(
                session, tenant_id=self._tenant, start=start, encode=self._encode, model=model
            )
        choices = [Choice(label, link("gaps", days=one), one == days) for one, label in PERIODS.items()]
        return Page("gaps", "What the documents do not answer", [_gaps(found), _pairs(disagreeing)], [choices])

    async def _encode(self, texts: Sequence[str]) -> Any:
        # The page keeps what it found, because another request may remove it while this one waits.
        found = {text: self._vectors[text] for text in texts if text in self._vectors}
        unknown = [text for text in dict.fromkeys(texts) if text not in found]
        if unknown:
            added = dict(zip(unknown, await encoder(self._services)(unknown), strict=True))
            found |= added
            self._vectors.update(added)
        return np.stack([found[text] for text in texts])


def _gaps(found: Sequence[Gap]) -> Table:
    columns = (
        "About",
        "Times",
        "People",
        *(user_messages.GAP_REASONS[why] for why in WHY),
        "Closest source",
        "State",
        "Questions",
    )
    rows = [
        [
            Cell(one.label),
            Cell(one.times),
            Cell(one.askers),
            *(Cell(one.why.get(why, 0)) for why in WHY),
            Cell(one.best_source),
            Cell("out of date" if one.stale else ""),
            Cell(" · ".join(one.questions)),
        ]
        for one in found
    ]
    return Table("gaps", "Most asked first", columns, rows, user_messages.NO_GAPS)


def _pairs(found: Sequence[Contradiction]) -> Table:
    columns = ("Document", "Says", "Other document", "Says instead")
    rows = [
        [Cell(pair.one.title), Cell(pair.one.sentence), Cell(pair.other.title), Cell(pair.other.sentence)]
        for pair in found
    ]
    return Table(
        "contradictions", "Documents that seem to contradict each other", columns, rows, user_messages.NO_PAIRS
    )
