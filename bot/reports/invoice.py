"""Compares the usage or cost export of a provider with the ledger, by day and model.

Understood are the CSV exports of the Claude Console (usage, cost) and of the OpenAI platform (completions usage, cost).
Days are in UTC, as in all four. Model names are compared without the date of their version and without spaces and dots,
because the cost export of the Claude Console writes ``Claude Haiku 4.5``.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import UsageError
from bot.reports import user_messages
from bot.reports.costs import usage_of

Measure = Literal["prompt", "input", "cached", "cache write 5m", "cache write 1h", "output", "USD"]
"""Kinds of tokens, and US dollars. ``prompt`` has all tokens of the prompt, ``input`` those outside the cache."""
EVERY_MODEL = "(every model)"
"""Stands for the model in exports that are not grouped by it."""
EXACT_USD = Decimal("0.000001")
"""Dollars that do not count as a difference, because the price of a token is rounded."""
MOST_DIGITS = 15
"""Digits before the point of an amount. More are a fault of the file."""
_VERSION_DATE = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One kind of export: its provider, the columns of day and model, and which column holds which measure."""

    name: str
    provider: str
    day: str
    model: str
    measures: Mapping[str, Measure]

    @property
    def columns(self) -> frozenset[str]:
        """The columns by which the format is recognized."""
        return frozenset((self.day, self.model, *self.measures))


FORMATS = (
    ExportFormat(
        "Claude usage",
        "anthropic",
        "usage_date_utc",
        "model_version",
        {
            "usage_input_tokens_no_cache": "input",
            "usage_input_tokens_cache_read": "cached",
            "usage_input_tokens_cache_write_5m": "cache write 5m",
            "usage_input_tokens_cache_write_1h": "cache write 1h",
            "usage_output_tokens": "output",
        },
    ),
    ExportFormat("Claude cost", "anthropic", "usage_date_utc", "model", {"cost_usd": "USD"}),
    ExportFormat(
        "OpenAI completions usage",
        "openai",
        "start_time_iso",
        "model",
        {"input_tokens": "prompt", "input_cached_tokens": "cached", "output_tokens": "output"},
    ),
    ExportFormat("OpenAI cost", "openai", "start_time_iso", "line_item", {"amount_value": "USD"}),
)


Amounts = dict[tuple[date, str, Measure], Decimal]
"""Amounts by day, model and measure."""


@dataclass(slots=True)
class Export:
    """What an export says. ``rounding`` is how far each amount may be off, because its lines are rounded.

    ``days`` are the first and the last day; None if the export is empty.
    """

    format: ExportFormat
    amounts: Amounts = field(default_factory=lambda: defaultdict(Decimal))
    rounding: Amounts = field(default_factory=lambda: defaultdict(Decimal))
    days: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """An amount that differs between the export and the ledger."""

    day: date
    model: str
    measure: Measure
    invoice: Decimal
    ledger: Decimal

    def as_json(self) -> dict[str, Any]:
        return {
            "day": str(self.day),
            "model": self.model,
            "measure": self.measure,
            "invoice": float(self.invoice),
            "ledger": float(self.ledger),
            "difference": float(self.invoice - self.ledger),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """An export against the ledger: how many amounts were compared, which differ, and the total of each measure."""

    format: str
    days: tuple[date, date] | None
    compared: int
    differences: Sequence[Difference]
    totals: Mapping[Measure, tuple[Decimal, Decimal]]
    """Of each measure: the export's total and the ledger's."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of ``parley costs --invoice``."""
        return {
            "format": self.format,
            "days": [str(day) for day in self.days] if self.days else None,
            "compared": self.compared,
            "differences": [one.as_json() for one in self.differences],
            "totals": {
                measure: {"invoice": float(invoice), "ledger": float(known), "difference": float(invoice - known)}
                for measure, (invoice, known) in self.totals.items()
            },
        }


def read_export(lines: Iterable[str]) -> Export:
    """Return what a CSV export says. Raises UsageError for an export that is not understood."""
    reader = csv.DictReader(lines)
    try:
        columns = set(reader.fieldnames or ())
        found = next((one for one in FORMATS if one.columns <= columns), None)
        if found is None:
            raise UsageError(user_messages.unknown_export(sorted(columns), [one.name for one in FORMATS]))
        export = Export(found)
        for row in reader:
            _add(export, row, reader.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(user_messages.no_csv(str(error))) from None
    return export


def compare(export: Export, known: Amounts) -> Comparison:
    """Compare an export with the amounts of the ledger."""
    every = sorted({*export.amounts, *known})
    differences = []
    totals: dict[Measure, tuple[Decimal, Decimal]] = {}
    for key in every:
        invoice, ours = export.amounts.get(key, Decimal(0)), known.get(key, Decimal(0))
        before = totals.get(key[2], (Decimal(0), Decimal(0)))
        totals[key[2]] = before[0] + invoice, before[1] + ours
        allowed = export.rounding.get(key, Decimal(0)) + (EXACT_USD if key[2] == "USD" else 0)
        if abs(invoice - ours) > allowed:
            differences.append(Difference(*key, invoice, ours))
    return Comparison(export.format.name, export.days, len(every), differences, totals)


async def compared(session: AsyncSession, *, tenant_id: str, export: Export) -> Comparison:
    """Compare an export with a tenant's calls of the same provider, from the export's first day to its last."""
    if export.days is None:
        return compare(export, {})
    first, last = export.days
    values = {
        "tenant": tenant_id,
        "provider": export.format.provider,
        "start": datetime.combine(first, time(), UTC),
        "end": datetime.combine(last + timedelta(days=1), time(), UTC),
    }
    measures = set(export.format.measures.values())
    is_by_model = any(model != EVERY_MODEL for _, model, _ in export.amounts)
    known: Amounts = defaultdict(Decimal)
    for row in await session.execute(_CALLS, values):
        model = model_name(row.model) if is_by_model else EVERY_MODEL
        amounts: dict[Measure, Any] = {
            "prompt": usage_of(row).prompt_tokens,
            "input": row.input_tokens,
            "cached": row.cached_tokens,
            "cache write 5m": row.cache_write_tokens,
            "cache write 1h": row.cache_write_long_tokens,
            "output": row.completion_tokens,
            "USD": row.cost_usd,
        }
        for measure in measures:
            known[row.day, model, measure] += Decimal(amounts[measure])
    return compare(export, known)


def model_name(written: str) -> str:
    """Return a model's name as all exports and the ledger have it in common."""
    return _VERSION_DATE.sub("", re.sub(r"[\s.]+", "-", written.strip().lower()))


_CALLS = text("""
    SELECT CAST(created_at AT TIME ZONE 'UTC' AS date) AS day, model,
        sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens,
        sum(cache_write_tokens) AS cache_write_tokens, sum(cache_write_long_tokens) AS cache_write_long_tokens,
        sum(completion_tokens) AS completion_tokens, sum(reasoning_tokens) AS reasoning_tokens,
        coalesce(sum(cost_usd), 0) AS cost_usd
    FROM ledger
    WHERE tenant_id = :tenant AND provider = :provider AND created_at >= :start AND created_at < :end
    GROUP BY 1, 2
""")


def _add(export: Export, row: Mapping[str, str | None], line: int) -> None:
    known = export.format
    try:
        day = date.fromisoformat((row[known.day] or "")[:10])
        day + timedelta(days=1)  # The ledger is read up to the next day, which the last day of the calendar lacks.
        # An empty amount is a day without usage.
        amounts = {measure: Decimal((row[column] or "0").strip() or "0") for column, measure in known.measures.items()}
    except (ValueError, OverflowError, InvalidOperation):
        raise UsageError(user_messages.unreadable_line(line)) from None
    if not all(amount.is_finite() and amount.adjusted() < MOST_DIGITS for amount in amounts.values()):
        raise UsageError(user_messages.unreadable_line(line))
    # A line item of OpenAI is a model and a kind of token: "gpt-5-mini-2025-08-07, input".
    model = model_name((row[known.model] or "").split(",")[0]) or EVERY_MODEL
    first, last = export.days or (day, day)
    export.days = min(first, day), max(last, day)
    for measure, amount in amounts.items():
        if amount:
            export.amounts[day, model, measure] += amount
            export.rounding[day, model, measure] += _half_of_the_last_digit(amount) if measure == "USD" else 0


def _half_of_the_last_digit(amount: Decimal) -> Decimal:
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int), "the amount is finite"
    return Decimal(5).scaleb(exponent - 1)
