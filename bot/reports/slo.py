"""Reports whether answers are as fast as they should be: first token, whole answer, and Parley's own share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

TARGETS_MS = {
    "first token": (400, 1200),
    "whole answer": (4000, 15000),
    "own share of the first token": (80, 120),
}
"""Target of the median and of the 95th percentile, in milliseconds."""
PARTS = ("rewrite", "search", "plan", "recall", "attachments", "model")
WORST = 10
MAY_BE_LATE = 0.05
"""Share of answers that may be later than the target of the 95th percentile."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the 95th percentile in milliseconds; None without a measurement."""

    p50: float | None
    p95: float | None

    def as_json(self) -> dict[str, float | None]:
        return {"p50": self.p50, "p95": self.p95}


@dataclass(frozen=True, slots=True)
class Objectives:
    """The measurements of ``answers`` answers.

    ``spreads`` has those of ``TARGETS_MS``, ``parts`` says where the time to the first token went. ``slowest`` are the
    turns with the latest first token. ``late`` has the share of answers beyond the target of the 95th percentile.
    """

    answers: int
    spreads: dict[str, Spread]
    parts: dict[str, Spread]
    slowest: tuple[str, ...]
    late: dict[str, float]

    @property
    def worst(self) -> tuple[str, ...]:
        """The short IDs of the slowest turns."""
        return tuple(turn_id[:8] for turn_id in self.slowest)

    @property
    def burn_rates(self) -> dict[str, float]:
        """How fast each objective's allowance is used up: 1 if just as many answers are late as may be, 5 %."""
        return {name: round(share / MAY_BE_LATE, 2) for name, share in self.late.items()}

    def rows(self) -> list[tuple[str, int, Spread, bool | None]]:
        """Return name, target, measurement and whether it is met, for each percentile of each objective."""
        rows = []
        for name, targets in TARGETS_MS.items():
            spread = self.spreads[name]
            for percentile, target, value in zip(("p50", "p95"), targets, (spread.p50, spread.p95), strict=True):
                rows.append((f"{name} {percentile}", target, spread, None if value is None else value <= target))
        return rows

    def as_json(self) -> dict[str, Any]:
        """Return the JSON document of ``parley slo``."""
        return {
            "objectives": [
                {"name": name, "target_ms": target, **spread.as_json(), "ok": ok}
                for name, target, spread, ok in self.rows()
            ],
            "own_share": self.spreads["own share of the first token"].as_json(),
            "parts": {name: spread.as_json() for name, spread in self.parts.items()},
            "burn_rates": self.burn_rates,
            "answers": self.answers,
            "worst": list(self.worst),
        }


# The first token of a cached answer comes with the whole of it. What a model's first token or its plan of searches
# took is not Parley's share.
_ANSWERS = text("""
    WITH answers AS MATERIALIZED (
        SELECT
            turn_id,
            coalesce((times ->> 'ttft')::float, (times ->> 'total')::float) AS first,
            (times ->> 'total')::float AS total,
            (times ->> 'rewrite')::float AS rewrite,
            (times ->> 'search')::float AS search,
            (times ->> 'plan')::float AS plan,
            (times ->> 'recall')::float AS recall,
            (times ->> 'attachments')::float AS attachments,
            (
                SELECT ttft_ms FROM ledger
                WHERE ledger.tenant_id = turns.tenant_id AND ledger.turn_id = turns.turn_id
                    AND purpose = 'answer' AND status = 'ok' AND ttft_ms IS NOT NULL
                ORDER BY created_at LIMIT 1
            ) AS model
        FROM turns, LATERAL (SELECT trace -> 'timings_ms' AS times) AS stored
        WHERE tenant_id = :tenant AND created_at >= :start AND kind <> 'copied' AND state = 'done' AND refused IS NULL
            AND times ->> 'total' IS NOT NULL
        ORDER BY created_at DESC LIMIT :scanned
    )
    SELECT
        count(*),
        ARRAY[
            count(*) FILTER (WHERE first > :first), count(*) FILTER (WHERE total > :total),
            count(*) FILTER (WHERE greatest(0, first - coalesce(model, 0) - coalesce(plan, 0)) > :own)
        ],
        (
            SELECT array_agg(CAST(turn_id AS text) ORDER BY first DESC, turn_id)
            FROM (SELECT turn_id, first FROM answers ORDER BY first DESC, turn_id LIMIT :most) AS slowest
        ),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY first),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY total),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
            ORDER BY greatest(0, first - coalesce(model, 0) - coalesce(plan, 0))
        ),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY rewrite),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY search),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY plan),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY recall),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY attachments),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY model)
    FROM answers
""")


async def objectives(
    session: AsyncSession, *, tenant_id: str, start: datetime, newest: int | None = None
) -> Objectives:
    """Return the measurements of a tenant's answers since ``start``, or of the ``newest`` of them.

    Refused and failed questions are left out.
    """
    targets = dict(zip(("first", "total", "own"), (late for _, late in TARGETS_MS.values()), strict=True))
    values = {"tenant": tenant_id, "start": start, "most": WORST, "scanned": newest, **targets}
    answers, late, worst, *measured = (await session.execute(_ANSWERS, values)).one()
    spreads = [_spread(pair) for pair in measured]
    return Objectives(
        int(answers),
        dict(zip(TARGETS_MS, spreads, strict=False)),
        dict(zip(PARTS, spreads[len(TARGETS_MS) :], strict=True)),
        tuple(worst or ()),
        dict(zip(TARGETS_MS, (count / max(1, answers) for count in late), strict=True)),
    )


def _spread(values: list[float | None] | None) -> Spread:
    return Spread(*(None if value is None else round(value, 1) for value in values or (None, None)))
