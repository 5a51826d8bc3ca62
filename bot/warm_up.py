"""Loads what the first answer needs, so that it is as fast as the tenth."""

from __future__ import annotations

import asyncio

from bot.app import App
from bot.store.database.pipelined_transactions import Statement
from bot.types.conversation import LOCAL_TENANT

CONNECTIONS = 3
"""Connections to open before the first question; an answer uses several at the same time."""


async def warm_up(app: App) -> None:
    """Load the model clients, the embedding model and the reranker, and open connections to the database.

    An embedding model that is billed is not called. Raises the error of the first that cannot be loaded.
    """
    await app.services.llm.ready()
    if not app.embedder.billed:
        await app.retriever.warm(LOCAL_TENANT)
    await asyncio.gather(*(app.database.flush(LOCAL_TENANT, Statement("SELECT 1")) for _ in range(CONNECTIONS)))
