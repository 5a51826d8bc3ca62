"""``costs``: a table of what the models cost, for admins."""

from __future__ import annotations

import asyncio
import csv
import io

from bot.commands import arguments
from bot.commands.base import Command, Context, File, Reply, Table
from bot.engine.cache.matching import upper_bound
from bot.errors import NotAllowed, UsageError
from bot.reports import charts
from bot.reports.costs import DIMENSIONS, CostReport, CostRow, Dimension, money, report
from bot.store.answer_cache.similar import Tally

USAGE = "[30d] [by user|channel|model|purpose|day] [csv|chart]"
DEFAULT_PERIOD = "30d"
COLUMNS = ("USD", "answers", "calls", "prompt", "cached", "written", "output")


async def run(context: Context, line: str) -> Reply:
    """The table of a period, grouped; ``csv`` adds it as a file, ``chart`` a picture of the days."""
    if not context.author.is_admin:
        raise NotAllowed("Only an admin can see costs. /budget shows your own tokens.")
    given = [word for word in arguments.words(line) if word not in ("by", "--by", "--since")]
    as_csv = arguments.take_flag(given, "csv") or arguments.take_flag(given, "--csv")
    as_chart = arguments.take_flag(given, "chart") or arguments.take_flag(given, "--chart")
    by: Dimension = next((dimension for dimension in DIMENSIONS if dimension in given), "user")
    periods = [word for word in given if word != by]
    if len(periods) > 1 or (as_csv and as_chart):
        raise UsageError(f"Write /costs {USAGE}.")
    period = periods[0] if periods else DEFAULT_PERIOD
    made = await make_report(context, period, by)
    file = _csv(made, by) if as_csv else None
    if as_chart:
        file = await chart(made if by == "day" else await make_report(context, period, "day"))
    return Reply(summary(made), table_of(made, by), file)


async def chart(by_day: CostReport) -> File:
    """A report by day as a picture."""
    return File("costs-by-day.png", await asyncio.to_thread(charts.costs_by_day, by_day), "image/png")


async def make_report(context: Context, period: str, by: Dimension) -> CostReport:
    """The report of the context's tenant. Raises UsageError for a period that is none."""
    services = context.services
    start = arguments.start_of(period, services.clock())
    async with services.database.tenant(context.tenant_id) as session:
        return await report(
            session,
            tenant_id=context.tenant_id,
            start=start,
            by=by,
            prices=services.prices,
            strong_model=services.llm.model("strong"),
        )


def dollars(row: CostRow) -> str:
    """The known cost, and how many calls it leaves out."""
    known = f"{row.cost_usd:.4f}"
    return f"{known} + {row.unknown_calls} unknown" if row.unknown_calls else known


def summary(made: CostReport) -> str:
    """The total and what was saved, in a sentence each."""
    saved, total = made.savings, made.total
    text = (
        f"Answers: {total.answers:,}. Calls: {total.calls:,}. Cost: {_total(total)}. "
        f"Saved by prompt caching {money(saved.prompt_cache)}, by routing {money(saved.routing)}, "
        f"by the answer cache {money(saved.answer_cache)}."
    )
    if made.unknown_prices:
        models = ", ".join(f"{model} ({calls} calls)" for model, calls in made.unknown_prices)
        text += f" Price unknown: {models}; PARLEY_PRICES_FILE can name it."
    return f"{text} {reuse(made.reuse)}".strip()


def reuse(tally: Tally) -> str:
    """What became of answers given again to the same question in other words; empty where there were none."""
    if not tally.hits and not tally.sampled:
        return ""
    text = f"Answered again in other words: {tally.hits}, rejected by people: {tally.wrong}."
    if tally.sampled:
        bound = upper_bound(tally.sampled_wrong, tally.sampled)
        text += (
            f" Of {tally.sampled} compared with a new answer {tally.sampled_wrong} differed: at most {bound:.1%} do."
        )
    return text


def _total(row: CostRow) -> str:
    return f"{money(row.cost_usd)} + {row.unknown_calls} unknown" if row.unknown_calls else money(row.cost_usd)


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


def table_of(made: CostReport, by: Dimension) -> Table:
    """The rows and their total."""
    rows = [_cells(row, row.name or row.key) for row in made.rows]
    return Table((by, *COLUMNS), [*rows, _cells(made.total, "total")])


def csv_text(made: CostReport) -> str:
    """The rows as CSV, a header first."""
    out = io.StringIO()
    lines = [row.as_json() for row in (*made.rows, made.total)]
    writer = csv.DictWriter(out, fieldnames=list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _csv(made: CostReport, by: Dimension) -> File:
    return File(f"costs-by-{by}.csv", csv_text(made).encode(), "text/csv")


COMMAND = Command("costs", "shows what the models cost", USAGE, run, admin=True)
