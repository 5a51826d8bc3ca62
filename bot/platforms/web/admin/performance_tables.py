"""Lays out the page of speed and caches: objectives, where the time went, slow answers, and where answers come from."""

from __future__ import annotations

from collections.abc import Sequence

from bot.engine.cache.matching import upper_bound
from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.page_model import Cell, Table, link
from bot.reports.answer_sources import AnswerSources
from bot.reports.costs import Savings
from bot.reports.questions import AskedQuestion
from bot.reports.slo import TARGETS_MS, Objectives

NEWEST = 20_000
"""Answers that are measured at most, so that a year takes no longer than a month."""


def objectives(found: Objectives, days: int) -> Table:
    """Return the objectives with what was measured. The number of late answers leads to them."""
    slow = link("questions", filter="slow", days=days)
    rows = []
    for name, (median, late) in TARGETS_MS.items() if found.answers else ():
        spread = found.spreads[name]
        rows.append(
            [
                Cell(name.capitalize()),
                *_against(spread.p50, median),
                *_against(spread.p95, late),
                Cell(round(100 * found.late[name], 2), slow),
                Cell(found.burn_rates[name], slow),
            ]
        )
    columns = ("Objective", "Median, ms", "Median target", "95 % within, ms", "95 % target", "Late, %", "Burn rate")
    return Table("objectives", "Objectives", columns, rows, user_messages.NO_ANSWERS_MEASURED)


def _against(measured: float | None, target: int) -> tuple[Cell, Cell]:
    """Return a measurement and its target, colored by whether it is met."""
    if measured is None:
        return Cell(None), Cell(f"up to {target:,}")
    is_met = measured <= target
    words = user_messages.MET if is_met else user_messages.MISSED
    return Cell(round(measured)), Cell(f"{words}, up to {target:,}", is_good=is_met)


def parts(found: Objectives) -> Table:
    """Return where the time to the first token went."""
    rows = [
        [Cell(name.capitalize()), Cell(round(spread.p50)), Cell(round(spread.p95 or spread.p50))]
        for name, spread in found.parts.items()
        if spread.p50 is not None
    ]
    columns = ("Part", "Median, ms", "95 % within, ms")
    return Table("parts", "Where the time to the first token went", columns, rows, user_messages.NO_ANSWERS_MEASURED)


def slowest(rows: Sequence[AskedQuestion]) -> Table:
    """Return the slowest answers, each linked to its trace."""
    columns = ("Question", "Asked at", "Asker", "Whole answer, s")
    cells = [
        [
            Cell(row.question, link(f"questions/{row.turn_id}")),
            Cell(row.at),
            Cell(row.user_name or row.user_id, link("questions", user=row.user_id)),
            Cell(None if row.total_ms is None else row.total_ms / 1000, link(f"questions/{row.turn_id}")),
        ]
        for row in rows
    ]
    return Table("slowest", "Latest first token", columns, cells, user_messages.NO_ANSWERS_MEASURED)


def sources(found: AnswerSources, days: int) -> Table:
    """Return which models wrote the answers, and how many were reused."""
    total = max(1, found.total)
    counts = sorted(found.by_model.items(), key=lambda one: -one[1])
    rows = [
        [Cell(model), Cell(count, link("calls", by="model", key=model, days=days)), Cell(100 * count / total)]
        for model, count in counts
    ]
    if found.total:
        rows.append(
            [
                Cell("the answer cache"),
                Cell(found.cached, link("questions", filter="cached", days=days)),
                Cell(100 * found.cached / total),
            ]
        )
    columns = ("Answered by", "Answers", "Share, %")
    return Table("sources", "Where answers come from", columns, rows, user_messages.NO_ANSWERS_MEASURED)


def reuse(found: AnswerSources, days: int) -> Table:
    """Return how many answers were reused for reworded questions, and how many of these can be wrong at most."""
    tally = found.tally
    cached = link("questions", filter="cached", days=days)
    rows = [
        [Cell("Reused for a reworded question"), Cell(tally.hits, cached)],
        [Cell("Rejected by people"), Cell(tally.wrong, link("questions", filter="down", days=days))],
        [Cell("Compared with a new answer"), Cell(tally.sampled)],
        [Cell("Differed from the new answer"), Cell(tally.sampled_wrong)],
    ]
    if tally.sampled:
        bound = 100 * upper_bound(tally.sampled_wrong, tally.sampled)
        rows.append([Cell("Wrong at most, % (95 % sure)"), Cell(bound)])
    return Table("reuse", "False hits of the answer cache", ("What", "Number"), rows, "")


def saved(found: Savings, days: int) -> Table:
    """Return what the caches and the cheap model saved, linked to where it was saved."""
    rows = [
        [Cell("Cached prompts"), Cell(float(found.prompt_cache), link("costs", by="model", days=days))],
        [Cell("The cheap model"), Cell(float(found.routing), link("costs", by="model", days=days))],
        [Cell("Cached answers"), Cell(float(found.answer_cache), link("questions", filter="cached", days=days))],
    ]
    return Table("savings", "Saved", ("By", "US dollars"), rows, user_messages.NO_CALLS)
