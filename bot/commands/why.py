"""The ``why`` command: shows the trace of one answer."""

from __future__ import annotations

from typing import Any

from bot.commands import help_text, user_messages
from bot.commands.answer_access import find_answer
from bot.commands.base import Command, Context, Reply, Table
from bot.reports.trace import Trace, trace_of_row

_TIMING_LABELS = {"ttft": "first words", "total": "in total", "accept": "storing the question", "queue": "waiting"}


async def run(context: Context, line: str) -> Reply:
    """Show the trace of the answer with the given id, or of the thread's last answer."""
    row = await find_answer(context, "why", line)
    async with context.services.database.tenant(context.tenant_id) as session:
        return reply_of(await trace_of_row(session, row), for_operator=context.author.is_admin)


def reply_of(trace: Trace, *, for_operator: bool) -> Reply:
    """Return the trace as text, with its passages as a table. Operators also see how to end an outage of the models."""
    lines = _lines(trace)
    if for_operator and trace.details.get("outage"):
        lines.append(f"- No model could answer: {trace.details['outage']}")
    return Reply("\n".join(lines), _passages(trace))


def _lines(trace: Trace) -> list[str]:
    route = trace.details.get("route") or {}
    timings = trace.details.get("timings_ms") or {}
    shortest_first = sorted(timings.items(), key=lambda timing: timing[1])
    times = [f"{_TIMING_LABELS.get(name, name)} {_number(value)} ms" for name, value in shortest_first]
    lines = [
        f"**Answer {trace.turn_id}** ({trace.state})",
        f"- Searched for: {_searched(trace)}",
        *([f"- Searched again for: {' | '.join(again)}"] if (again := trace.details.get("searched_again")) else []),
        f"- Route: {route.get('model', 'none')} ({route.get('tier', '-')}): {route.get('reason', '-')}",
        f"- Search confidence: {_number(trace.details.get('confidence'))}",
        f"- Time: {', '.join(times) or '-'}",
        *_prompt(trace),
        *(f"- Call: {_call(call)}" for call in trace.calls),
        *(f"- Note: {note}" for note in (*trace.details.get("restarts", ()), *trace.details.get("notes", ()))),
    ]
    if (use := trace.details.get("standby", "none")) != "none":
        lines.append(f"- {user_messages.searched_database(use)}")
    if outdated := trace.details.get("outdated"):
        lines.append(f"- {user_messages.outdated_since(outdated)}")
    if verified := trace.details.get("verified"):
        lines.append(f"- {user_messages.verified_by(verified)}")
    if trace.details.get("cached_from"):
        lines.append(f"- From the answer cache: first answered as {trace.details['cached_from']}")
    if (late := trace.details.get("shown_after_s")) is not None:
        lines.append(f"- {user_messages.shown_late(late)}")
    if trace.to_be_shown:
        lines.append(f"- {user_messages.TO_BE_SHOWN}")
    if trace.refused:
        lines.append(f"- Not answered: {trace.refused}")
    return lines


def _searched(trace: Trace) -> str:
    return str(trace.details.get("searched") or trace.details.get("query") or trace.question)


def _prompt(trace: Trace) -> list[str]:
    """Return the sizes of the prompt's parts, and what was left out because it did not fit."""
    parts = trace.details.get("prompt_parts") or {}
    if not parts:
        return []
    sizes = ", ".join(f"{name} {tokens:,}" for name, tokens in parts.items())
    left_out = [
        f"{number} {noun}"
        for noun, number in (
            ("thread messages", trace.details.get("messages_left_out", 0)),
            ("passages", trace.details.get("passages_left_out", 0)),
        )
        if number
    ]
    from_memory = [
        f"{len(trace.details.get(name) or ())} {noun}"
        for name, noun in (("recalled", "recalled messages"), ("facts", "facts"))
        if trace.details.get(name)
    ]
    return [
        f"- Prompt, in tokens: {sizes}",
        *([f"- From memory: {', '.join(from_memory)}"] if from_memory else []),
        *([f"- Left out because the prompt was full: {', '.join(left_out)}"] if left_out else []),
    ]


def _call(call: dict[str, Any]) -> str:
    cost = "price unknown" if call["cost_usd"] is None else f"${call['cost_usd']:.6f}"
    estimated = ", estimated" if call["estimated"] else ""
    return (
        f"{call['purpose']}, {call['model']}, {call['status']}, {call['prompt_tokens']:,} tokens in "
        f"({call['cached_tokens']:,} cached), {call['completion_tokens']:,} out{estimated}, {cost}"
    )


def _passages(trace: Trace) -> Table | None:
    rows = [
        (
            passage["n"],
            passage["place"],
            *(_number(passage["legs"][leg]) for leg in ("dense", "sparse", "fused", "rerank")),
        )
        for passage in trace.details.get("passages", ())
    ]
    return Table(("#", "passage", "dense", "sparse", "fused", "rerank"), rows) if rows else None


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


COMMAND = Command("why", help_text.WHY_SUMMARY, help_text.ANSWER_ID_USAGE, run)
