"""Builds command replies from sample figures, with the formatting code of the commands themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from bot.commands import cited_sources, costs, settings, why
from bot.commands.base import File, Reply
from bot.reports.charts import costs_by_day
from bot.reports.costs import CostReport, CostRow, Savings, total_of
from bot.reports.trace import Trace
from bot.store.answer_cache.similar_answer_statements import Tally
from bot.types.display import Citation
from bot.types.settings import ChannelSettings
from knowledge.store.document_catalog import Surroundings
from knowledge.types.scope import TENANT_AUDIENCE

NO_REUSE = Tally(0, 0, 0, 0, 0)
SAVINGS_30_DAYS = Savings(Decimal("6.8681"), Decimal("14.0920"), Decimal("2.3614"))
SAVINGS_14_DAYS = Savings(Decimal("3.2110"), Decimal("6.5884"), Decimal("1.1040"))
MODELS = (
    ("claude-sonnet-5-5", 1204, 4_812_330, 3_377_904, 402_118, "7.2278"),
    ("claude-haiku-5-5", 5310, 9_120_004, 5_001_220, 611_870, "0.7678"),
)
"""Model, answers, prompt tokens, cached tokens, output tokens, US dollars at the list prices of November 2026."""
DAYS = (0.19, 0.26, 0.31, 0.05, 0.02, 0.38, 0.45, 0.40, 0.52, 0.33, 0.07, 0.05, 0.57, 0.50)
"""US dollars of each day."""
FIRST_DAY = date(2026, 11, 2)
LAST_DAY = FIRST_DAY + timedelta(days=len(DAYS) - 1)
ANSWERS_PER_DOLLAR, PROMPT_PER_DOLLAR, CACHED_PER_DOLLAR, OUTPUT_PER_DOLLAR = 815, 1_740_000, 1_050_000, 127_000


def costs_by_model() -> Reply:
    """Return the reply to ``/costs 30d by model``."""
    rows = [_row(name, answers, tokens, cached, out, usd) for name, answers, tokens, cached, out, usd in MODELS]
    made = CostReport(rows, total_of(rows), SAVINGS_30_DAYS, (), NO_REUSE, (FIRST_DAY, LAST_DAY))
    return Reply(costs.summary(made), costs.table_of(made, "model"))


def costs_chart() -> Reply:
    """Return the reply to ``/costs 14d chart``, without its table."""
    rows = [
        _row(
            str(FIRST_DAY + timedelta(days=n)),
            round(usd * ANSWERS_PER_DOLLAR),
            round(usd * PROMPT_PER_DOLLAR),
            round(usd * CACHED_PER_DOLLAR),
            round(usd * OUTPUT_PER_DOLLAR),
            str(usd),
        )
        for n, usd in enumerate(DAYS)
    ]
    made = CostReport(rows, total_of(rows), SAVINGS_14_DAYS, (), NO_REUSE, (FIRST_DAY, LAST_DAY))
    return Reply(costs.summary(made), file=File("costs-by-day.png", costs_by_day(made), "image/png"))


def _row(key: str, answers: int, prompt: int, cached: int, completion: int, usd: str) -> CostRow:
    return CostRow(key, "", answers, answers + answers // 9, prompt, cached, 0, completion, Decimal(usd))


def channel_settings() -> Reply:
    """Return the reply to ``/settings show``."""
    return settings.shown(
        ChannelSettings(
            persona="Answer in two sentences, and name who to ask.",
            tier="cheap",
            sources=("https://handbook.example/",),
            auto_answer=True,
        ),
        tenant_wide=True,
    )


def cited_passages() -> Reply:
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
    made = [
        Citation(n, source, title, quote, str(n), heading, page, text.index(quote), text.index(quote) + len(quote))
        for n, source, title, heading, page, text, quote in cited
    ]
    texts = (leave, signed)
    around = [Surroundings(TENANT_AUDIENCE, text, one.start) for text, one in zip(texts, made, strict=True)]
    return cited_sources.shown(made, around)


def answer_trace() -> Reply:
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
        "route": {"model": "claude-haiku-5-5", "tier": "cheap", "reason": "a short question about one fact"},
        "confidence": 0.87,
        "timings_ms": {"search": 41, "ttft": 610, "total": 2140},
        "prompt_parts": {"system": 866, "history": 0, "passages and question": 1243, "answer": 1200},
        "passages": passages,
    }
    call = {
        "purpose": "answer",
        "model": "claude-haiku-5-5",
        "status": "ok",
        "cost_usd": 0.000192,
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
            to_be_shown=False,
            refused=None,
            cached=False,
            created_at=at,
            finished_at=at,
            citations=[],
            details=details,
            calls=[call],
        ),
        for_operator=False,
    )
