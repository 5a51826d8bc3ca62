"""Builds replies of commands from made-up figures, with the commands' own code."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from bot.commands import cited_sources, costs, settings, why
from bot.commands.base import File, Reply
from bot.reports.charts import costs_by_day
from bot.reports.costs import CostReport, CostRow, Savings
from bot.reports.trace import Trace
from bot.store.answer_cache.similar import Tally
from bot.types.display import Citation
from bot.types.settings import ChannelSettings

NO_REUSE = Tally(0, 0, 0, 0, 0)
SAVINGS = Savings(Decimal("9.12"), Decimal("30.87"), Decimal("2.4031"))
MODELS = (
    ("claude-sonnet-4-5", 1204, 4_812_330, 3_377_904, 402_118, "28.3112"),
    ("claude-haiku-4-5", 5310, 9_120_004, 5_001_220, 611_870, "12.9440"),
)
DAYS = (0.8, 1.1, 1.3, 0.2, 0.1, 1.6, 1.9, 1.7, 2.2, 1.4, 0.3, 0.2, 2.4, 2.1)
FIRST = date(2026, 11, 2)


def by_model() -> Reply:
    """Return the reply to ``/costs 30d by model``."""
    rows = [_row(name, answers, tokens, cached, out, usd) for name, answers, tokens, cached, out, usd in MODELS]
    report = CostReport(rows, _total(rows), SAVINGS, (), NO_REUSE)
    return Reply(costs.summary(report), costs.table_of(report, "model"))


def by_day() -> Reply:
    """Return the picture of ``/costs 14d chart``, without its text."""
    rows = [
        _row(str(FIRST + timedelta(days=n)), round(usd * 90), round(usd * 2e5), round(usd * 1e5), 900, str(usd))
        for n, usd in enumerate(DAYS)
    ]
    report = CostReport(rows, _total(rows), SAVINGS, (), NO_REUSE)
    return Reply(costs.summary(report), file=File("costs-by-day.png", costs_by_day(report), "image/png"))


def _row(key: str, answers: int, prompt: int, cached: int, completion: int, usd: str) -> CostRow:
    return CostRow(key, "", answers, answers + answers // 9, prompt, cached, 0, completion, Decimal(usd))


def _total(rows: list[CostRow]) -> CostRow:
    total = CostRow("total")
    for row in rows:
        total.answers += row.answers
        total.calls += row.calls
        total.prompt_tokens += row.prompt_tokens
        total.cached_tokens += row.cached_tokens
        total.completion_tokens += row.completion_tokens
        total.cost_usd += row.cost_usd
    return total


def in_this_channel() -> Reply:
    """Return the reply to ``/settings show``."""
    return settings.shown(
        ChannelSettings(
            persona="Answer in two sentences, and name who to ask.",
            tier="cheap",
            sources=("https://handbook.example/",),
            auto_answer=True,
        )
    )


def quotes() -> Reply:
    """Return the reply to ``/sources``."""
    leave = (
        "Plan it with your team. Everybody has 30 days of paid leave a year. Interns have 20. What is left in December "
        "moves to the next year, until the end of March."
    )
    signed = (
        "Ask two weeks ahead. Leave is signed by the lead and entered by people operations. Sick days need no form."
    )
    cited = (
        (1, "https://handbook.example/leave", "Leave", ("Paid leave",), None, leave, leave[24:85]),
        (2, "handbook.pdf", "Handbook", (), 12, signed, signed[21:82]),
    )
    citations = [
        Citation(n, source, title, quote, str(n), heading, page, text.index(quote), text.index(quote) + len(quote))
        for n, source, title, heading, page, text, quote in cited
    ]
    return cited_sources.shown(citations, {"1": leave, "2": signed})


def trace() -> Reply:
    """Return the reply to ``/why``."""
    at = datetime(2026, 11, 16, 10, 42, tzinfo=UTC)
    legs = (
        ("Leave › Paid leave", 0.71, 8.4, 0.033, 0.98),
        ("Handbook, page 12", 0.66, 6.1, 0.031, 0.91),
        ("Leave › Parental leave", 0.52, 3.9, 0.029, 0.12),
    )
    passages = [
        {"n": n, "place": place, "legs": {"dense": dense, "sparse": sparse, "fused": fused, "rerank": rerank}}
        for n, (place, dense, sparse, fused, rerank) in enumerate(legs, 1)
    ]
    details = {
        "searched": "how many days of leave do I have, and who signs?",
        "route": {"model": "claude-haiku-4-5", "tier": "cheap", "reason": "a short question about one fact"},
        "confidence": 0.87,
        "timings_ms": {"search": 41, "ttft": 610, "total": 2140},
        "prompt_parts": {"system": 866, "history": 0, "passages and question": 1243, "answer": 1200},
        "passages": passages,
    }
    call = {
        "purpose": "answer",
        "model": "claude-haiku-4-5",
        "status": "ok",
        "cost_usd": 0.001794,
        "estimated": False,
        "prompt_tokens": 2109,
        "cached_tokens": 866,
        "completion_tokens": 119,
    }
    return why.reply_of(
        Trace(
            turn_id="5d1c3a90-7f0e-4c55-9d5b-0c3f4f2b8a11",
            thread="1",
            channel_id="C1",
            user_id="U1",
            question="how many days of leave do I have, and who signs?",
            answer="",
            state="done",
            refused=None,
            cached=False,
            created_at=at,
            finished_at=at,
            citations=[],
            details=details,
            calls=[call],
        )
    )
