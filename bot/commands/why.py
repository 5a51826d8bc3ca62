"""``why``: the trace of one answer."""

from __future__ import annotations

from typing import Any

from bot.commands.answer_access import asked_about
from bot.commands.base import Command, Context, Reply, Table
from bot.reports.trace import Trace, trace_of_row

USAGE = "[ID of an answer]"
_CLOCKS = {"ttft": "first words", "total": "in all"}
"""What the timings are called for a person."""


async def run(context: Context, line: str) -> Reply:
    """The trace of the answer with this id, or of the thread's last one."""
    row = await asked_about(context, "why", line)
    async with context.services.database.tenant(context.tenant_id) as session:
        return reply_of(await trace_of_row(session, row))


def reply_of(trace: Trace) -> Reply:
    """The trace in words, with its passages as a table."""
    return Reply(_text(trace), _passages(trace))


def _text(trace: Trace) -> str:
    route = trace.details.get("route") or {}
    timings = trace.details.get("timings_ms") or {}
    inner_first = sorted(timings.items(), key=lambda one: one[1])
    times = [f"{_CLOCKS.get(name, name)} {_number(value)} ms" for name, value in inner_first]
    lines = [
        f"**Answer {trace.turn_id}** ({trace.state})",
        f"- Searched for: {_searched(trace)}",
        f"- Route: {route.get('model', 'none')} ({route.get('tier', '-')}): {route.get('reason', '-')}",
        f"- Confidence of the search: {_number(trace.details.get('confidence'))}",
        f"- Time: {', '.join(times) or '-'}",
        *_prompt(trace),
        *(f"- Call: {_call(call)}" for call in trace.calls),
        *(f"- Note: {note}" for note in (*trace.details.get("restarts", ()), *trace.details.get("notes", ()))),
    ]
    if trace.details.get("cached_from"):
        lines.append(f"- From the answer cache: first given as {trace.details['cached_from']}")
    if trace.refused:
        lines.append(f"- Not answered: {trace.refused}")
    return "\n".join(lines)


def _searched(trace: Trace) -> str:
    return str(trace.details.get("searched") or trace.details.get("query") or trace.question)


def _prompt(trace: Trace) -> list[str]:
    """What was put before the model, by part, and what did not fit."""
    parts = trace.details.get("prompt_parts") or {}
    if not parts:
        return []
    told = ", ".join(f"{name} {tokens:,}" for name, tokens in parts.items())
    left = [
        f"{number} {what}"
        for what, number in (
            ("messages of the thread", trace.details.get("messages_left_out", 0)),
            ("passages", trace.details.get("passages_left_out", 0)),
        )
        if number
    ]
    shown = [
        f"{len(trace.details.get(name) or ())} {what}"
        for name, what in (("recalled", "old messages recalled"), ("facts", "facts"))
        if trace.details.get(name)
    ]
    return [
        f"- Prompt, in tokens: {told}",
        *([f"- From memory: {', '.join(shown)}"] if shown else []),
        *([f"- Left out for want of room: {', '.join(left)}"] if left else []),
    ]


def _call(call: dict[str, Any]) -> str:
    cost = "price unknown" if call["cost_usd"] is None else f"${call['cost_usd']:.6f}"
    mark = ", estimated" if call["estimated"] else ""
    return (
        f"{call['purpose']}, {call['model']}, {call['status']}, {call['prompt_tokens']:,} tokens in "
        f"({call['cached_tokens']:,} cached), {call['completion_tokens']:,} out{mark}, {cost}"
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


COMMAND = Command("why", "shows how an answer came about", USAGE, run)
