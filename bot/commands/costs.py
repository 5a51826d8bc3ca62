"""The ``costs`` command: reports what the models cost, as a table, a CSV or a chart. For admins."""

from __future__ import annotations

import asyncio

from bot.commands import arguments, csv_export, help_text, user_messages
from bot.commands.base import Command, Context, File, Reply, Table
from bot.engine.cache.matching import upper_bound
from bot.errors import UsageError
from bot.reports import charts
from bot.reports.costs import DIMENSIONS, CostReport, CostRow, Dimension, money, report, with_unknown
from bot.reports.unprompted_answers import UnpromptedAnswers
from bot.store.answer_cache.similar_answer_statements import Tally

DEFAULT_PERIOD = "30d"
COLUMNS = ("USD", "answers", "calls", "prompt", "cached", "written", "output")
"""All but the first three count tokens; ``cached`` are read from the prompt cache, ``written`` are stored in it."""


async def run(context: Context, line: str) -> Reply:
    """Return the costs of a period as a table; ``csv`` attaches the table, ``chart`` a chart of the days."""
    given = arguments.parse(line, flags=("csv", "chart"), values=("by", "since"))
    words = [word for word in given.words if word != "by"]
    words += [value for name in ("by", "since") if (value := given.value(name))]
    as_csv = arguments.take_word(words, "csv") or given.flag("csv")
    as_chart = arguments.take_word(words, "chart") or given.flag("chart")
    by: Dimension = next((dimension for dimension in DIMENSIONS if dimension in words), "user")
    periods = [word for word in words if word != by]
    if len(periods) > 1 or (as_csv and as_chart):
        raise UsageError(user_messages.wrong_usage("costs", help_text.COSTS_USAGE))
    period = periods[0] if periods else DEFAULT_PERIOD
    costs = await make_report(context, period, by)
    file = _csv(costs, by) if as_csv else None
    if as_chart:
        file = await chart(costs if by == "day" else await make_report(context, period, "day"))
    return Reply(summary(costs), table_of(costs, by), file)


async def chart(by_day: CostReport) -> File:
    """Return a report by day as a PNG chart."""
    return File("costs-by-day.png", await asyncio.to_thread(charts.costs_by_day, by_day), "image/png")


async def make_report(context: Context, period: str, by: Dimension) -> CostReport:
    """Return the report of the context's tenant. Raises UsageError for an invalid period."""
    services = context.services
    now = services.clock()
    start = arguments.start_of(period, now)
    async with services.database.tenant(context.tenant_id) as session:
        return await report(
            session,
            tenant_id=context.tenant_id,
            start=start,
            now=now,
            by=by,
            prices=services.prices,
            strong_model=services.llm.model("strong"),
        )


def dollars(row: CostRow) -> str:
    """Return the cost in dollars, with the number of calls whose price is unknown."""
    return with_unknown(f"{row.cost_usd:.4f}", row)


def summary(costs: CostReport) -> str:
    """Return the total and the savings, one sentence each."""
    saved, total = costs.savings, costs.total
    text = (
        f"Answers: {total.answers:,}. Calls: {total.calls:,}. Cost: {with_unknown(money(total.cost_usd), total)}. "
        f"Saved by prompt caching {money(saved.prompt_cache)}, by routing {money(saved.routing)}, "
        f"by the answer cache {money(saved.answer_cache)}."
    )
    if costs.unknown_prices:
        models = ", ".join(f"{model} ({calls} calls)" for model, calls in costs.unknown_prices)
        text += f" Price unknown: {models}. Add it to PARLEY_PRICES_FILE."
    return " ".join(filter(None, (text, reuse(costs.reuse), unasked(costs.unprompted))))


def unasked(count: UnpromptedAnswers) -> str:
    """Return how many answers nobody asked for by a mention, and how many of them were unwanted; empty without any."""
    if not count.answered:
        return ""
    return (
        f"Answers without a mention: {count.answered:,}. Stopped, rated down or followed by /quiet: {count.unwanted:,}."
    )


def reuse(tally: Tally) -> str:
    """Return how many reworded questions got a cached answer, and how many got a wrong one; empty without any."""
    if not tally.hits and not tally.sampled:
        return ""
    text = f"Cached answers to reworded questions: {tally.hits}, rejected by users: {tally.wrong}."
    if tally.sampled:
        bound = upper_bound(tally.sampled_wrong, tally.sampled)
        text += (
            f" Of {tally.sampled} compared with a new answer, {tally.sampled_wrong} differed: at most {bound:.1%} do."
        )
    return text


def _cells(row: CostRow, label: str) -> tuple[str | int, ...]:
    return (
        label,
        dollars(row),
        row.answers,
        row.calls,
        row.prompt_tokens,
        row.cached_tokens,
        row.cache_write_tokens,
        row.completion_tokens,
    )


def table_of(costs: CostReport, by: Dimension) -> Table:
    """Return the rows and their total as a table."""
    rows = [_cells(row, row.name or row.key) for row in costs.rows]
    return Table((by, *COLUMNS), [*rows, _cells(costs.total, "total")])


def csv_text(costs: CostReport) -> str:
    """Return the rows and their total as CSV, header first."""
    lines = [row.as_json() for row in (*costs.rows, costs.total)]
    return csv_export.text(list(lines[0]), [list(line.values()) for line in lines])


def _csv(costs: CostReport, by: Dimension) -> File:
    return File(f"costs-by-{by}.csv", csv_text(costs).encode(), "text/csv")


COMMAND = Command("costs", help_text.COSTS_SUMMARY, help_text.COSTS_USAGE, run, admin=True)
