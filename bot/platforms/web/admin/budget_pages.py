"""The admin page of budgets: limits, what was used today, alerts, a form that sets a limit, and who changed what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.commands import budget, budget_user_messages
from bot.commands.services import Services
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.forms import posted
from bot.platforms.web.admin.page_model import Cell, Field, Form, Page, Table, link
from bot.platforms.web.admin.rendering import respond
from bot.platforms.web.http_messages import identity_of
from bot.store import admin_changes
from bot.store.budgets import budget_counters, cost_alerts
from bot.types.conversation import Author
from bot.types.usage import UNLIMITED

ALERT_DAYS = 90
_USED_TODAY = text("""
    SELECT subject, used, reserved FROM budget_days WHERE tenant_id = :tenant AND day = :day AND used + reserved > 0
    ORDER BY subject <> 'tenant', used + reserved DESC, subject LIMIT 200
""")


class BudgetPages:
    """The budgets of one tenant."""

    def __init__(self, services: Services, tenant_id: str) -> None:
        self._services = services
        self._tenant = tenant_id

    def routes(self) -> list[Route]:
        """Return the routes of the page and of its form."""
        return [
            Route("/admin/budgets", self._shown),
            Route("/admin/budgets", posted(self._set, self._page), methods=["POST"]),
        ]

    async def _shown(self, request: Request) -> Response:
        return respond(request, await self._page(request))

    async def _page(self, request: Request) -> Page:
        services, tenant = self._services, self._tenant
        *_, of_team = await services.stores.budgets.budgets(tenant, "-", Author("-", "-"))
        today = (of_team.resets_at - timedelta(hours=1)).date()
        async with services.database.tenant(tenant) as session:
            limits = await budget_counters.list_limits(session, tenant_id=tenant)
            used = (await session.execute(_USED_TODAY, {"tenant": tenant, "day": today})).all()
            since = today - timedelta(days=ALERT_DAYS)
            alerts = await cost_alerts.since(session, tenant_id=tenant, day=since)
            changes = await admin_changes.newest(session, tenant_id=tenant)
        settings = services.settings
        defaults = {
            budget_counters.EVERYBODY: settings.daily_tokens,
            budget_counters.EVERY_CHANNEL: settings.channel_daily_tokens,
            budget_counters.TENANT: settings.tenant_daily_tokens,
        }
        chosen = request.query_params.get("subject", "")
        form = Form(
            user_messages.SET_BUDGET,
            link("budgets"),
            user_messages.SET,
            [Field("subject", user_messages.SUBJECT, chosen), Field("tokens", user_messages.TOKENS)],
        )
        tables = [_limits(limits, defaults), _used(used), _alerts(alerts), _changes(changes)]
        return Page("budgets", "Budgets", tables, forms=[form])

    async def _set(self, request: Request, given: Mapping[str, str]) -> str:
        subject = budget.subject_of(given.get("subject", ""))
        tokens = budget.tokens_of(given.get("tokens", ""))
        await budget.store(self._services.database, self._tenant, subject, tokens, set_by=identity_of(request).id)
        return link("budgets")


def _limits(limits: Sequence[tuple[str, int]], defaults: Mapping[str, int]) -> Table:
    """Return the limits that were set, and the defaults for the others."""
    known = dict(limits)
    rows = [(subject, tokens, "set here") for subject, tokens in limits]
    rows += [(subject, tokens or UNLIMITED, "default") for subject, tokens in defaults.items() if subject not in known]
    cells = [
        [
            Cell(subject, link("budgets", subject=subject)),
            Cell(budget_user_messages.daily_limit(tokens)),
            Cell(origin),
        ]
        for subject, tokens, origin in rows
    ]
    return Table("limits", "Limits", ("Whose", "Limit", "From"), cells, user_messages.NO_LIMITS)


def _used(rows: Sequence[Any]) -> Table:
    cells = [
        [
            Cell(row.subject, _behind(row.subject)),
            Cell(row.used, _behind(row.subject)),
            Cell(row.reserved),
        ]
        for row in rows
    ]
    return Table("used", "Used today", ("Whose", "Tokens", "Reserved"), cells, user_messages.NO_CALLS)


def _behind(subject: str) -> str:
    """Return the path to the calls that count against a budget."""
    kind, _, name = subject.partition(":")
    return link("calls", by=kind, key=name, days=1) if kind in ("user", "channel") and name else link("calls", days=1)


def _alerts(rows: Sequence[Any]) -> Table:
    cells = [
        [
            Cell(row.created_at),
            Cell(budget_user_messages.cost_alert(row), link("calls", by="day", key=str(row.day), days=365)),
        ]
        for row in rows
    ]
    return Table("alerts", f"Alerts of {ALERT_DAYS} days", ("At", "Alert"), cells, user_messages.NO_ALERTS)


def _changes(rows: Sequence[Any]) -> Table:
    cells = [[Cell(row.created_at), *map(Cell, (row.admin_id, row.action, row.subject, row.value))] for row in rows]
    columns = ("At", "Admin", "Change", "Of", "To")
    return Table("changes", "Who changed what", columns, cells, user_messages.NO_CHANGES)
