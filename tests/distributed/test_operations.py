"""Every operation of the stores works on distributed tables."""

from __future__ import annotations

from contextlib import aclosing

from bot.store.database.session import Database
from knowledge.parsing.isolation.sandbox import Parser
from tests.store import knowledge_operations, turn_operations

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
