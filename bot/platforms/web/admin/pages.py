"""Builds the admin pages of one tenant from the reports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from bot.commands.services import Services
from bot.platforms.web.admin import performance_tables, tables, user_messages, verified_pages
from bot.platforms.web.admin.page_model import Bar, Choice, KeyFigure, Page, link
from bot.reports import activity, answer_sources, costs, questions, recent_calls, slo
from bot.reports.costs import CostRow
from bot.reports.questions import FILTERS, Filter
from bot.reports.trace import trace_of
from bot.store.budgets.ledger_sums import DIMENSIONS, Dimension
from bot.store.database import process_liveness
from bot.store.turns import turns
from bot.types.conversation import PRIVATE_THREAD
from knowledge.store import document_catalog
from knowledge.types.documents import DocumentRow

PERIODS = {1: "A day", 7: "7 days", 30: "30 days", 90: "90 days", 365: "A year"}
DEFAULT_DAYS = 30
MOST_DOCUMENTS = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a request. ``reader`` is the admin's ID; values that mean nothing have their defaults."""

    given: Mapping[str, str]
    reader: str

    @property
    def days(self) -> int:
        """The period in days."""
        found = self.given.get("days", "")
        return int(found) if found in {str(days) for days in PERIODS} else DEFAULT_DAYS

    @property
    def by(self) -> Dimension:
        """What costs are grouped by."""
        return next((one for one in DIMENSIONS if one == self.given.get("by")), "day")

    @property
    def kind(self) -> Filter:
        """Which questions are listed."""
        return next((one for one in FILTERS if one == self.given.get("filter")), "all")

    @property
    def before(self) -> datetime | None:
        """Before which questions are listed."""
        try:
            found = datetime.fromisoformat(self.given.get("before", ""))
        except ValueError:
            return None
        return found if found.tzinfo else None


class AdminPages:
    """The pages of one tenant."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id
        self._tenants = services.database.tenant

    def named(self) -> Mapping[str, Callable[[Asked], Awaitable[Page]]]:
        """Return the function that builds each page, by its path below ``/admin``."""
        return {
            "": self.overview,
            "costs": self.costs,
            "calls": self.calls,
            "performance": self.performance,
            "questions": self.questions,
            "documents": self.documents,
            "people": self.people,
            "connections": self.connections,
            "errors": self.errors,
        }

    async def overview(self, asked: Asked) -> Page:
        """Return the costs of each day, and what was saved."""
        start = self._start(asked.days)
        async with self._tenants(self._tenant) as session:
            rows = await costs.sums(
                session, tenant_id=self._tenant, start=start, by="day", prices=self._services.prices
            )
            saved = await costs.savings(
                session,
                tenant_id=self._tenant,
                start=start,
                prices=self._services.prices,
                strong_model=self._services.llm.model("strong"),
            )
        bars = self._bars(rows, asked.days)
        found = [performance_tables.saved(saved, asked.days), tables.costs(rows, "day", asked.days)]
        figures = _figures(costs.total_of(rows), saved, asked.days)
        choices = [_periods("", asked)]
        return Page("overview", "Overview", found, choices, bars, user_messages.COSTS_BY_DAY, figures=figures)

    async def performance(self, asked: Asked) -> Page:
        """Return the objectives, where the time went, the slowest answers, and where answers come from."""
        start, newest = self._start(asked.days), performance_tables.NEWEST
        async with self._tenants(self._tenant) as session:
            measured = await slo.objectives(session, tenant_id=self._tenant, start=start, newest=newest)
            slowest = await questions.search(
                session,
                tenant_id=self._tenant,
                reader=asked.reader,
                start=start,
                before=self._tomorrow(),
                turn_ids=measured.slowest,
            )
            sources = await answer_sources.answer_sources(
                session, tenant_id=self._tenant, start=start, prices=self._services.prices
            )
        order = {turn_id: place for place, turn_id in enumerate(measured.worst)}
        latest = sorted(slowest.rows, key=lambda row: order.get(row.turn_id[:8], len(order)))
        found = [
            performance_tables.objectives(measured, asked.days),
            performance_tables.parts(measured),
            performance_tables.slowest(latest),
            performance_tables.sources(sources, asked.days),
            performance_tables.reuse(sources, asked.days),
        ]
        notes = [user_messages.BURN_RATE]
        if measured.answers == newest:
            notes.append(user_messages.NEWEST_MEASURED.format(count=newest))
        return Page("performance", "Speed and caches", found, [_periods("performance", asked)], notes=notes)

    async def costs(self, asked: Asked) -> Page:
        """Return the costs by day, person, channel, model or purpose."""
        start = self._start(asked.days)
        async with self._tenants(self._tenant) as session:
            rows = await costs.sums(
                session, tenant_id=self._tenant, start=start, by=asked.by, prices=self._services.prices
            )
        dimensions = [
            Choice(f"By {one}", link("costs", by=one, days=asked.days), one == asked.by) for one in DIMENSIONS
        ]
        bars = self._bars(rows, asked.days) if asked.by == "day" else ()
        choices = [dimensions, _periods("costs", asked, by=asked.by)]
        found = [tables.costs(rows, asked.by, asked.days)]
        return Page("costs", "Costs", found, choices, bars, user_messages.COSTS_BY_DAY)

    async def calls(self, asked: Asked) -> Page:
        """Return the newest model calls behind a number of the costs."""
        key, failed = asked.given.get("key"), asked.given.get("status") == "error"
        async with self._tenants(self._tenant) as session:
            rows = await recent_calls.calls(
                session,
                tenant_id=self._tenant,
                reader=asked.reader,
                start=self._start(asked.days),
                by=None if key is None else asked.by,
                key=key or "",
                only_failed=failed,
            )
        title = "Model calls" if key is None else f"Model calls: {asked.by} {key}"
        return Page("costs", title, [tables.calls(rows)], [_periods("calls", asked, by=asked.by, key=key)])

    async def questions(self, asked: Asked) -> Page:
        """Return the newest questions that match the search and the filter."""
        words, user, source = (asked.given.get(name, "").strip() for name in ("words", "user", "source"))
        async with self._tenants(self._tenant) as session:
            found = await questions.search(
                session,
                tenant_id=self._tenant,
                reader=asked.reader,
                start=self._start(asked.days),
                before=asked.before or self._tomorrow(),
                kind=asked.kind,
                words=words,
                user_id=user or None,
                source=source or None,
            )
        kept = {"days": asked.days, "words": words, "user": user, "source": source}
        filters = [
            Choice(user_messages.FILTERS[one], link("questions", filter=one, **kept), one == asked.kind)
            for one in FILTERS
        ]
        older = found.before and link("questions", filter=asked.kind, before=found.before.isoformat(), **kept)
        return Page(
            "questions",
            "Questions",
            [tables.questions(found.rows)],
            [
                filters,
                _periods("questions", asked, filter=asked.kind, words=words, user=user, source=source),
                [Choice(user_messages.AS_CASES, link("cases.jsonl", days=asked.days), False)],
            ],
            search=words,
            kept=[
                (name, str(value))
                for name, value in {**kept, "filter": asked.kind}.items()
                if value and name != "words"
            ],
            more=older or "",
        )

    async def question(self, turn_id: str, reader: str) -> Page | None:
        """Return the trace of one answer; None if there is none, and alike for another person's private question."""
        async with self._tenants(self._tenant) as session:
            row = await turns.row_of(session, tenant_id=self._tenant, turn_id=turn_id)
            if row is None or (row.thread_id.startswith(PRIVATE_THREAD) and row.user_id != reader):
                return None
            trace = await trace_of(session, tenant_id=self._tenant, turn_id=turn_id)
        assert trace is not None
        choices = [Choice(user_messages.AS_CASE, link("cases.jsonl", turn=str(row.turn_id)), False)]
        forms = [verified_pages.form_of_turn(row)] if row.state == "done" and row.answer and not row.refused else []
        title, texts = f"Answer {trace.turn_id}", tables.texts(trace)
        return Page("questions", title, tables.trace(trace), [choices], texts=texts, forms=forms)

    async def documents(self, asked: Asked) -> Page:
        """Return the documents with their state, their age and how often their source was cited."""
        chosen, source = asked.given.get("filter", "all"), asked.given.get("source")
        async with self._tenants(self._tenant) as session:
            rows = await document_catalog.list_documents(session, self._tenant, limit=MOST_DOCUMENTS)
            cited = await activity.citations(session, tenant_id=self._tenant, start=self._start(asked.days))
        keeps: dict[str, Callable[[DocumentRow], bool]] = {
            "all": lambda row: True,
            "failed": lambda row: row.state == "failed",
            "never": lambda row: row.source not in cited,
        }
        kept = [row for row in rows if keeps.get(chosen, keeps["all"])(row) and source in (None, row.source)]
        choices = [
            Choice(label, link("documents", filter=name, days=asked.days), name == chosen and source is None)
            for name, label in user_messages.DOCUMENT_FILTERS.items()
        ]
        periods = _periods("documents", asked, filter=chosen, source=source)
        found = [tables.sources(kept, cited, asked.days), tables.documents(kept, cited, asked.days)]
        return Page("documents", "Documents and sources", found, [choices, periods])

    async def people(self, asked: Asked) -> Page:
        """Return who asked how much."""
        async with self._tenants(self._tenant) as session:
            rows = await activity.people(session, tenant_id=self._tenant, start=self._start(asked.days))
        return Page("people", "People and roles", [tables.people(rows, asked.days)], [_periods("people", asked)])

    async def connections(self, asked: Asked) -> Page:
        """Return the state of this process's parts, and of the other processes."""
        health = self._services.health
        async with self._services.database.queue() as session:
            alive = await process_liveness.live(session)
        found = [
            tables.platforms(health.states, health.unready, alive),
            tables.parts(health.states, health.unready),
            tables.processes(alive),
        ]
        return Page("connections", "Connections", found)

    async def errors(self, asked: Asked) -> Page:
        """Return what failed in the last day."""
        start = self._start(1)
        async with self._tenants(self._tenant) as session:
            turns_failed = await activity.failed_turns(session, tenant_id=self._tenant, start=start)
            calls_failed = await activity.failed_calls(session, tenant_id=self._tenant, start=start)
        return Page("errors", "Errors of the last day", tables.errors(turns_failed, calls_failed))

    def _tomorrow(self) -> datetime:
        return self._services.clock() + timedelta(days=1)

    def _start(self, days: int) -> datetime:
        return self._services.clock() - timedelta(days=days)

    def _bars(self, rows: Sequence[CostRow], days: int) -> Sequence[Bar]:
        """Return a bar for each day of the period, also for those without a call."""
        costs_of = {row.key: float(row.cost_usd) for row in rows}
        first, last = self._start(days).date(), self._services.clock().date()
        every = [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]
        return [Bar(day, costs_of.get(day, 0.0), link("calls", by="day", key=day, days=days)) for day in every]


def _figures(total: CostRow, saved: costs.Savings, days: int) -> Sequence[KeyFigure]:
    together = saved.prompt_cache + saved.routing + saved.answer_cache
    return [
        KeyFigure(
            user_messages.SPENT, costs.with_unknown(costs.money(total.cost_usd), total), link("costs", days=days)
        ),
        KeyFigure(user_messages.ANSWERS, f"{total.answers:,}", link("questions", days=days)),
        KeyFigure(user_messages.EACH_ANSWER, _each_answer(total), link("costs", by="model", days=days)),
        KeyFigure(user_messages.CALLS, f"{total.calls:,}", link("calls", days=days)),
        KeyFigure(user_messages.SAVED, costs.money(together), link("performance", days=days)),
    ]


def _each_answer(total: CostRow) -> str:
    """Return what an answer costs on average, as far as the prices of its calls are known."""
    if total.unknown_calls and not total.cost_usd:
        return user_messages.PRICE_UNKNOWN
    each = costs.money(total.cost_usd / total.answers if total.answers else Decimal(0))
    return user_messages.at_least(each) if total.unknown_calls else each


def _periods(name: str, asked: Asked, **kept: object) -> Sequence[Choice]:
    return [Choice(label, link(name, days=days, **kept), days == asked.days) for days, label in PERIODS.items()]
