"""Makes cases for ``parley eval answers`` from answers with a thumb down and from unanswered questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.types.conversation import PRIVATE_THREAD
from bot.types.json_documents import to_json
from knowledge.store.id_prefixes import SHORT_CHARS, id_range

MOST_CASES = 1000
MOST_EARLIER = 5
"""The latest earlier questions of the thread that a case asks again."""

# Every rating below zero counts once for its turn. The verified answer of a turn is what the answer should have been.
_REJECTED = text("""
    SELECT CAST(turns.turn_id AS text) AS turn_id, turns.question, turns.answer,
        coalesce((turns.trace ->> 'unanswered')::boolean, false) AS unanswered,
        ARRAY(
            SELECT reason FROM feedback
            WHERE feedback.tenant_id = :tenant AND feedback.turn_id = turns.turn_id AND value < 0 AND reason <> ''
            ORDER BY created_at
        ) AS reasons,
        ARRAY(
            SELECT earlier.question FROM turns AS earlier
            WHERE earlier.tenant_id = :tenant AND earlier.thread_uid = turns.thread_uid AND earlier.seq < turns.seq
                AND earlier.withdrawn_at IS NULL AND earlier.question <> ''
            ORDER BY earlier.seq DESC LIMIT :earlier
        ) AS earlier,
        (
            SELECT verified_answers.answer FROM verified_answers
            WHERE verified_answers.tenant_id = :tenant AND verified_answers.turn_id = turns.turn_id
        ) AS reference,
        (
            SELECT verified_answers.citations FROM verified_answers
            WHERE verified_answers.tenant_id = :tenant AND verified_answers.turn_id = turns.turn_id
        ) AS citations
    FROM turns
    WHERE turns.tenant_id = :tenant AND withdrawn_at IS NULL AND turns.state = 'done' AND refused IS NULL
        AND (NOT starts_with(thread_id, :private) OR user_id = :reader)
        AND (CAST(:low AS uuid) IS NULL OR turns.turn_id BETWEEN CAST(:low AS uuid) AND CAST(:high AS uuid))
        AND (CAST(:low AS uuid) IS NOT NULL OR (turns.created_at >= :start AND (
            (kind <> 'copied' AND coalesce((turns.trace ->> 'unanswered')::boolean, false)) OR EXISTS (
                SELECT FROM feedback
                WHERE feedback.tenant_id = :tenant AND feedback.turn_id = turns.turn_id AND value < 0
            )
        )))
    ORDER BY turns.created_at DESC, turns.turn_id
    LIMIT :most
""")


async def cases(
    session: AsyncSession, *, tenant_id: str, start: datetime, reader: str = "", turn_id: str | None = None
) -> list[dict[str, Any]]:
    """Return the cases since ``start``, the latest first, or that of one turn however it was rated.

    Private questions are left out, except those of ``reader``: cases are made to be kept in a repository.
    """
    limits = id_range(turn_id) if turn_id else None
    if turn_id and limits is None:
        return []
    low, high = limits or (None, None)
    values = {"tenant": tenant_id, "start": start, "reader": reader, "private": PRIVATE_THREAD, "low": low}
    values |= {"high": high, "most": MOST_CASES, "earlier": MOST_EARLIER}
    return [_case(row) for row in await session.execute(_REJECTED, values)]


def _case(row: Any) -> dict[str, Any]:
    """Return one case.

    With a verified answer, its sources must be cited, and a judge compares with it. Without one, an unanswered question
    must be answered, and an answer that was rejected must not be given again.
    """
    case: dict[str, Any] = {
        "id": f"feedback-{row.turn_id[:SHORT_CHARS]}",
        "kind": "unanswered" if row.unanswered else "feedback",
        "question": row.question,
        "earlier": row.earlier[::-1],
        "reason": "; ".join(row.reasons),
    }
    if row.reference is not None:
        case |= {"answered": True, "reference": row.reference}
        case["sources"] = list(dict.fromkeys(one["source"].rpartition("/")[2] for one in row.citations))
    elif row.unanswered or not row.answer:
        case["answered"] = True
    else:
        case["not_facts"] = [row.answer]
    return {name: value for name, value in case.items() if value not in ("", [])}


def as_jsonl(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the cases as a text with one JSON object a line."""
    return "".join(f"{to_json(case, indent=None)}\n" for case in found)
