"""Every operation of the stores works on distributed tables."""

from __future__ import annotations

from contextlib import aclosing

from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from tests.store import knowledge_operations, turn_operations
from tests.store.test_many_tenants import (
    test_a_tenant_learns_nothing_of_the_others,
    test_only_tenants_with_a_source_that_was_read_long_ago_are_refreshed,
)

__all__ = [
    "test_a_tenant_learns_nothing_of_the_others",
    "test_only_tenants_with_a_source_that_was_read_long_ago_are_refreshed",
]
TURN = {**turn_operations.OPERATIONS, **turn_operations.SHORT_OPERATIONS}


async def test_every_change_of_a_conversation_works(database: Database) -> None:
    faults: dict[str, str] = {}
    for name, operation in TURN.items():
        scene = await turn_operations.build_scene(database, name)
        try:
            await operation(scene)
        except Exception as error:
            faults[name] = str(error).splitlines()[0]
    assert faults == {}


async def test_every_change_of_documents_works(database: Database) -> None:
    faults: dict[str, str] = {}
    async with aclosing(Parser()) as parser:
        for name, operation in knowledge_operations.OPERATIONS.items():
            scene = await knowledge_operations.build_scene(database, parser)
            try:
                await operation(scene)
            except Exception as error:
                faults[name] = str(error).splitlines()[0]
    assert faults == {}
