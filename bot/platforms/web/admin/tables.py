"""Lays out the rows of the reports as the tables of the admin pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bot.platforms.web.admin import user_messages
from bot.platforms.web.admin.page_model import Cell, Table, Text, link
from bot.reports.costs import CostRow, total_of
from bot.reports.questions import AskedQuestion
from bot.reports.trace import Trace
from bot.store.budgets.ledger import LEFT_BEHIND
from bot.store.budgets.ledger_sums import Dimension
from bot.store.database.process_liveness import ProcessState
from knowledge.types.documents import DocumentRow

_RATING = {1: "up", -1: "down"}


def costs(found: Sequence[CostRow], by: Dimension, days: int) -> Table:
    """Return the costs below their total, each row linked to its calls."""
    first = "Name" if by == "user" else by.title()
    columns = (first, "US dollars", "Calls of unknown price", "Calls", "Prompt tokens", "Cached", "Output")
    total = total_of(found)
    rows = []
    for row in (total, *found):
        path = link("calls", days=days) if row is total else link("calls", by=by, key=row.key, days=days)
        rows.append(
            [
                Cell("Total" if row is total else row.name or row.key or "(none)", path),
                Cell(float(row.cost_usd), path),
                Cell(row.unknown_calls, path),
                Cell(row.calls, path),
                Cell(row.prompt_tokens, path),
                Cell(row.cached_tokens, path),
                Cell(row.completion_tokens, path),
            ]
        )
    return Table("costs", f"By {by}", columns, rows if found else (), user_messages.NO_CALLS)


def calls(rows: Sequence[Any]) -> Table:
    """Return single model calls, each linked to its question."""
    columns = ("At", "Question", "User", "Channel", "Purpose", "Model", "Status", "US dollars", "ms", "Error")
    return Table(
        "calls",
        "Newest calls",
        columns,
        [
            [
                Cell(row.created_at),
                _question(row),
                Cell(row.user_id, link("questions", user=row.user_id)),
                Cell(row.channel_id),
                Cell(row.purpose),
                Cell(row.model),
                Cell(row.status),
                Cell(None if row.cost_usd is None else float(row.cost_usd)),
                Cell(round(row.latency_ms)),
                Cell(row.error),
            ]
            for row in rows
        ],
        user_messages.NO_CALLS,
    )


def _question(row: Any) -> Cell:
    """Return the ID of a call's question, linked if the reader may see it."""
    if row.turn_id is None:
        return Cell(None)
    return Cell(str(row.turn_id)[:8], link(f"questions/{row.turn_id}") if row.is_visible else "")


def questions(rows: Sequence[AskedQuestion]) -> Table:
    """Return questions, each linked to its trace."""
    columns = ("At", "Question", "Asker", "Channel", "State", "Confidence", "Seconds", "Rating", "US dollars")
    return Table(
        "questions",
        "Newest first",
        columns,
        [
            [
                Cell(row.at),
                Cell(row.question, link(f"questions/{row.turn_id}")),
                Cell(row.user_name or row.user_id, link("questions", user=row.user_id)),
                Cell(row.channel_id),
                Cell(row.state),
                Cell(row.confidence),
                Cell(None if row.total_ms is None else row.total_ms / 1000),
                Cell(None if row.rating is None else _RATING.get(row.rating, row.rating)),
                Cell(row.cost_usd),
            ]
            for row in rows
        ],
        user_messages.NO_QUESTIONS,
    )


def texts(trace: Trace) -> list[Text]:
    """Return question, answer, and why there is none."""
    found = [Text("Question", trace.question)]
    if searched := trace.details.get("searched"):
        found.append(Text("Searched for", str(searched)))
    if trace.answer:
        found.append(Text("Answer", trace.answer))
    if outdated := trace.details.get("outdated"):
        found.append(Text("Outdated", user_messages.outdated(outdated["since"], outdated["documents"])))
    if trace.refused:
        found.append(Text("Not answered", trace.refused))
    return found


def trace(trace: Trace) -> list[Table]:
    """Return the facts of an answer, its passages, its calls, and its times."""
    details = trace.details
    route = details.get("route") or {}
    facts: list[tuple[str, object]] = [
        ("State", trace.state),
        ("Asked at", trace.created_at),
        ("Asker", trace.user_id),
        ("Channel", trace.channel_id),
        ("Thread", trace.thread),
        ("From the cache", "yes" if trace.cached else "no"),
        ("Confidence", details.get("confidence")),
        ("Model", route.get("model")),
        ("Why this model", route.get("reason")),
        *((f"{name}, ms", value) for name, value in (details.get("timings_ms") or {}).items()),
        *((f"Prompt: {name}, tokens", value) for name, value in (details.get("prompt_parts") or {}).items()),
        *(("Note", note) for note in (*details.get("restarts", ()), *details.get("notes", ()))),
    ]
    passages = [
        [
            Cell(one["n"]),
            Cell(one.get("place") or one.get("title")),
            Cell(one.get("score")),
            *(Cell((one.get("legs") or {}).get(leg)) for leg in ("dense", "sparse", "fused", "rerank")),
            Cell(one.get("text")),
        ]
        for one in details.get("passages", ())
    ]
    calls_made = [
        [
            Cell(call[name])
            for name in ("purpose", "model", "status", "prompt_tokens", "cached_tokens", "completion_tokens")
        ]
        + [Cell(call["cost_usd"]), Cell(call["latency_ms"]), Cell(call["ttft_ms"]), Cell(call["error"])]
        for call in trace.calls
    ]
    columns = ("No.", "Place", "Score", "Dense", "Sparse", "Fused", "Rerank", "Text")
    of_calls = (
        "Purpose",
        "Model",
        "Status",
        "Prompt",
        "Cached",
        "Output",
        "US dollars",
        "ms",
        "First token, ms",
        "Error",
    )
    return [
        Table(
            "facts",
            "How it was made",
            ("What", "Value"),
            [[Cell(name), Cell(Cell(value).text)] for name, value in facts],
            "",
        ),
        Table("passages", "Passages", columns, passages, user_messages.NO_PASSAGES),
        Table("calls", "Model calls", of_calls, calls_made, user_messages.NO_CALLS),
    ]


def sources(rows: Sequence[DocumentRow], cited: Mapping[str, int], days: int) -> Table:
    """Return the sources of documents with how often each was cited, linked to the questions that cited it."""
    documents_of = Counter(row.source for row in rows)
    found = [
        [
            Cell(source, link("documents", source=source, days=days)),
            Cell(count, link("documents", source=source, days=days)),
            Cell(cited.get(source, 0), _citing(source, days)),
        ]
        for source, count in sorted(documents_of.items(), key=lambda one: (-cited.get(one[0], 0), one[0]))
    ]
    return Table("sources", "Sources", ("Source", "Documents", "Citations"), found, user_messages.NO_DOCUMENTS)


def documents(rows: Sequence[DocumentRow], cited: Mapping[str, int], days: int) -> Table:
    """Return documents with how often their source was cited."""
    columns = ("Title", "Source", "Chunks", "Read by", "State", "Fetched at", "Citations", "Error")
    return Table(
        "documents",
        "Documents",
        columns,
        [
            [
                Cell(row.title),
                Cell(row.source),
                Cell(row.chunks),
                Cell(row.audience),
                Cell(row.state, is_good=row.state == "ready"),
                Cell(row.fetched_at),
                Cell(cited.get(row.source, 0), _citing(row.source, days)),
                Cell(row.error),
            ]
            for row in rows
        ],
        user_messages.NO_DOCUMENTS,
    )


def _citing(source: str, days: int) -> str:
    return link("questions", source=source, days=days)


def people(rows: Sequence[Any], days: int) -> Table:
    """Return askers, each linked to their questions and costs."""
    columns = ("Name", "ID", "Role", "Questions", "Failed", "Last question")
    return Table(
        "people",
        "Who asked",
        columns,
        [
            [
                Cell(row.name),
                Cell(row.user_id, link("calls", by="user", key=row.user_id, days=days)),
                Cell(row.role),
                Cell(row.questions, link("questions", user=row.user_id, days=days)),
                Cell(row.failed, link("questions", user=row.user_id, days=days, filter="failed")),
                Cell(row.last),
            ]
            for row in rows
        ],
        user_messages.NO_PEOPLE,
    )


def platforms(states: Mapping[str, bool], unready: Mapping[str, str], processes: Sequence[ProcessState]) -> Table:
    """Return whether Slack and Discord are connected, by this process or by another one."""
    rows = []
    for part, name in user_messages.PLATFORMS.items():
        faults = [one.faults[part] for one in processes if part in one.faults]
        serving = [one for one in processes if part in one.platforms and part not in one.faults]
        row: tuple[str, str, bool | None]
        if states.get(part) or serving:
            row = (user_messages.CONNECTED, "", True)
        elif part in states or faults:
            row = (user_messages.NOT_CONNECTED, unready.get(part) or "; ".join(faults), False)
        else:
            row = (user_messages.NOT_STARTED, user_messages.HOW_TO_START[part], None)
        state, reason, is_good = row
        rows.append([Cell(name), Cell(state, is_good=is_good), Cell(reason)])
    return Table("platforms", "Slack and Discord", ("Platform", "State", "Reason"), rows, "")


def parts(states: Mapping[str, bool], unready: Mapping[str, str]) -> Table:
    """Return the parts of this process."""
    rows = [
        [Cell(part), Cell("works" if works else "does not work", is_good=works), Cell(unready.get(part, ""))]
        for part, works in states.items()
    ]
    return Table("parts", "This process", ("Part", "State", "Reason"), rows, user_messages.NO_PROCESSES)


def processes(found: Sequence[ProcessState]) -> Table:
    """Return the processes that are alive, each with the parts that do not work."""
    rows = [
        [
            Cell(f"{process.host} {process.pid}"),
            Cell("does not work" if process.faults else "works", is_good=not process.faults),
            Cell("; ".join(f"{part}: {reason}" for part, reason in sorted(process.faults.items()))),
        ]
        for process in found
    ]
    columns = ("Host and process", "State", "Reasons")
    return Table("processes", "All processes", columns, rows, user_messages.NO_PROCESSES)


def errors(turns_failed: Sequence[Any], calls_failed: Sequence[Any]) -> list[Table]:
    """Return why answers and model calls failed."""
    answers = [
        [Cell(row.reason), Cell(row.times, link("questions", filter="failed", days=1)), Cell(row.last)]
        for row in turns_failed
    ]
    failed = [
        [
            Cell(row.provider),
            Cell(row.model),
            Cell(user_messages.LEFT_BEHIND if row.error == LEFT_BEHIND else row.error or "(no reason)"),
            Cell(row.times, link("calls", by="model", key=row.model, status="error", days=1)),
            Cell(row.last),
        ]
        for row in calls_failed
    ]
    of_calls = ("Provider", "Model", "Error", "Times", "Last")
    return [
        Table("answers", "Answers that failed", ("Reason", "Times", "Last"), answers, user_messages.NO_ERRORS),
        Table("calls", "Model calls that failed", of_calls, failed, user_messages.NO_ERRORS),
    ]
