"""No two operations lock the same two rows in opposite orders, and every operation of the stores is looked at.

Unlike ``test_lock_order``, which lets operations meet at a few moments, this compares the locks that each one takes
when it runs alone: every pair, at every moment. What one statement locks counts as locked at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TypeVar, get_type_hints

import pytest

from bot.engine.ports.stores import Stores
from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from tests.store import knowledge_operations, turn_operations
from tests.store.lock_recorder import (
    KEY_SHARE,
    NO_KEY_UPDATE,
    UPDATE,
    Recording,
    Step,
    circles,
    recorded_locks,
    recording,
)

Scene = TypeVar("Scene")

_OF_TURN = "(SELECT turns.message_id FROM turns WHERE turns.turn_id = {table}.turn_id)"
_OF_SOURCE = "(SELECT sources.uri FROM sources WHERE sources.id = {table}.source_id)"
_CHUNK = "(SELECT uri FROM documents WHERE id = chunks.document_id) || ' ' || chunks.position"
_OF_CHUNK = f"(SELECT {_CHUNK} FROM chunks WHERE chunks.chunk_id = {{table}}.chunk_id) || ' ' || model"
NAMES = {
    "tenants": "tenant_id",
    "threads": "thread_id",
    "turns": "message_id",
    "inbox": "message_id",
    "messages": f"{_OF_TURN} || ' ' || role",
    "reply_parts": f"{_OF_TURN} || ' ' || part",
    "attachments": f"{_OF_TURN} || ' ' || position",
    "answers": "key",
    "answer_hits": _OF_TURN,
    "answer_flights": "key",
    "facts": "subject",
    "feedback": f"{_OF_TURN} || ' ' || user_id",
    "ledger": f"{_OF_TURN} || ' ' || status || ' ' || input_tokens",
    "reservations": f"{_OF_TURN} || ' ' || subject",
    "budget_days": "subject || ' ' || day",
    "knowledge_state": "tenant_id",
    "sources": "uri",
    "documents": "uri",
    "chunks": _CHUNK,
    **dict.fromkeys(("embeddings", "token_signs", "sentence_vectors"), _OF_CHUNK),
    "document_files": "(SELECT uri FROM documents WHERE id = document_files.document_id) || ' ' || part",
    "kept_vectors": "digest || ' ' || model",
    "postings": "term || ' ' || segment || ' ' || level",
    "posting_parts": "segment || ' ' || level",
    "posting_masks": "segment || ' ' || audience",
    "ingests": f"{_OF_SOURCE} || ' ' || state",
    "held_back_notices": _OF_SOURCE,
}
"""Expressions that name a row alike in every scene."""

READS = {
    *("inbox.turn", "inbox.turn_shown_in", "inbox.turns_of", "inbox.follows"),
    *("queue.has_work", "queue.open_turns", "queue.last_served", "queue.direct_channels"),
    *("conversation.turn_record", "budgets.budget", "budgets.budgets", "answers.cached", "answers.titles"),
    *("settings.channel_settings", "settings.admins", "retractions.is_forgotten", "retractions.withdrawn"),
}
"""Methods of the ports that change no row."""
ONE_ROW = {
    "queue.ready_turns": "holds one turn in each transaction; what it frees is the operation that frees",
    "queue.hold": "one turn, as a release",
    "queue.mark_serving": "the row of its own process",
    "late_replies.postpone": "one turn",
    "answers.mark_current": "one cached answer",
}
"""Methods whose transactions lock one row, so that nobody waits for a second one."""


async def locks_of(
    database: Database,
    operations: Mapping[str, Callable[[Scene], Awaitable[object]]],
    build: Callable[[], Awaitable[Scene]],
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, list[Step]]:
    """Run each operation alone on what ``build`` makes. Return the locks that it took."""
    names = {table: name.format(table=table) for table, name in NAMES.items()}
    taken: dict[str, list[Step]] = {}
    async with recorded_locks(database, monkeypatch, names):
        for name, operation in operations.items():
            scene, under_way = await build(), Recording()
            recording.set(under_way)
            await operation(scene)
            recording.set(None)
            taken[name] = under_way.steps
    return taken


async def test_no_two_operations_lock_two_rows_in_opposite_orders(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = partial(turn_operations.build_scene, database, "thread")
    operations = {**turn_operations.OPERATIONS, **turn_operations.SHORT_OPERATIONS}
    taken = await locks_of(database, operations, build, monkeypatch)
    assert [name for name, steps in taken.items() if not steps] == ["note a command"]
    assert [str(circle) for circle in circles(taken)] == []


async def test_no_two_changes_of_documents_lock_two_rows_in_opposite_orders(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(Parser()) as parser:
        build = partial(knowledge_operations.build_scene, database, parser)
        taken = await locks_of(database, knowledge_operations.OPERATIONS, build, monkeypatch)
    assert [name for name, steps in taken.items() if not steps] == []
    assert [str(circle) for circle in circles(taken)] == []


def test_every_method_of_the_stores_is_an_operation_or_locks_one_row_at_most() -> None:
    source = Path(inspect.getfile(turn_operations)).read_text()
    methods = {
        f"{store}.{method}"
        for store, port in get_type_hints(Stores).items()
        for method in vars(port)
        if not method.startswith("_")
    }
    operated = {name for name in methods if f"{name}(" in source}
    assert methods - operated == READS | set(ONE_ROW)


@pytest.mark.parametrize(
    ("first", "second", "wait"),
    [
        ([("a", UPDATE), ("b", UPDATE)], [("a", UPDATE), ("b", UPDATE)], False),
        ([("a", UPDATE), ("b", UPDATE)], [("b", UPDATE), ("a", UPDATE)], True),
        ([("a", KEY_SHARE), ("b", UPDATE)], [("b", UPDATE), ("a", NO_KEY_UPDATE)], False),
        ([("a", KEY_SHARE), ("a", UPDATE)], [("a", KEY_SHARE), ("a", UPDATE)], True),
    ],
)
def test_circles_are_found(first: list[tuple[str, int]], second: list[tuple[str, int]], wait: bool) -> None:
    taken = {}
    for name, locks in (("first", first), ("second", second)):
        under_way, held = Recording(), {}
        for row, strength in locks:
            held[("rows", row)] = strength
            under_way.note(1, held)
        taken[name] = under_way.steps
    found = {(one.first, one.second) for one in circles(taken)}
    assert (("first", "second") in found) is wait
