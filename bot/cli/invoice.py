"""Compares a provider's usage or cost export with the ledger: ``parley costs --invoice FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli import user_messages
from bot.cli.command_runtime import with_tenant
from bot.cli.output import echo, print_json, show_table
from bot.errors import ParleyError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.reports.invoice import Comparison, Export

_COLUMNS = ("day", "model", "measure", "invoice", "ledger", "difference")


def compare_invoice(path: Path, tenant: str, *, as_json: bool) -> None:
    """Print where the export differs from the ledger. Raises ParleyError for a file that cannot be read."""
    export = _read(path)

    async def load(session: AsyncSession) -> Comparison:
        from bot.reports.invoice import compared

        return await compared(session, tenant_id=tenant, export=export)

    found = with_tenant(tenant, load)
    if as_json:
        print_json(found.as_json())
        return
    echo(user_messages.invoice_compared(found.format, found.compared, len(found.differences)))
    rows = [tuple(one.as_json().values()) for one in found.differences]
    totals = [
        ("total", "", measure, float(invoice), float(known), float(invoice - known))
        for measure, (invoice, known) in found.totals.items()
    ]
    if rows or totals:
        show_table(_COLUMNS, [*rows, *totals])


def _read(path: Path) -> Export:
    from bot.reports.invoice import read_export

    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return read_export(lines)
    except OSError as error:
        raise ParleyError(user_messages.not_readable(path, error.strerror)) from None
