"""Branches of conversations: an edited question goes on from a copy of what came before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from bot.errors import UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.history import thread_key
from bot.store.browser_page import conversation_branches
from bot.store.browser_page.conversation_branches import BranchLink
from bot.store.database.session import Database
from bot.types.conversation import LOCAL_TENANT
from bot.types.turns import Turn


@dataclass(frozen=True, slots=True)
class BranchLinks:
    """The conversation that a branch begins like, if it is one, and the branches that begin like it."""

    origin: BranchLink | None = None
    branches: Sequence[BranchLink] = ()


class Branches(Protocol):
    """The stored branches of conversations."""

    async def begin(self, turn_id: str, thread_id: str, question: str) -> bool:
        """Create a branch with the answered questions before a turn, unless it exists.

        Return False if it cannot begin there.
        """

    async def remove_empty(self, thread_id: str) -> None:
        """Delete a branch whose question could not be asked."""

    async def links(self, thread_id: str) -> BranchLinks:
        """Return what a conversation is connected with."""

    async def copies(self, turn_id: str, *, other_than: str = "") -> Sequence[str]:
        """Return the IDs of the copies of a question, without those that have the text ``other_than``."""


class StoredBranches:
    """The branches in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, turn_id: str, thread_id: str, question: str) -> bool:
        begin = partial(conversation_branches.begin, turn_id=turn_id, branch=thread_key(thread_id), question=question)
        return await self._database.run(LOCAL_TENANT, begin)

    async def remove_empty(self, thread_id: str) -> None:
        removing = partial(conversation_branches.remove_empty, branch=thread_key(thread_id))
        await self._database.run(LOCAL_TENANT, removing)

    async def links(self, thread_id: str) -> BranchLinks:
        async with self._database.tenant(LOCAL_TENANT) as session:
            origin = await conversation_branches.origin(session, thread=thread_key(thread_id))
            return BranchLinks(origin, await conversation_branches.branches(session, thread=thread_key(thread_id)))

    async def copies(self, turn_id: str, *, other_than: str = "") -> Sequence[str]:
        async with self._database.tenant(LOCAL_TENANT) as session:
            return await conversation_branches.copies(
                session, tenant_id=LOCAL_TENANT, turn_id=turn_id, other_than=other_than
            )


async def ask_in_branch(
    branches: Branches, turn_id: str, thread_id: str, question: str, ask: Callable[[], Awaitable[Turn | None]]
) -> Turn | None:
    """Begin the branch ``thread_id`` before a turn and ask there. Raises UsageError if that is not possible."""
    if not question.strip():
        raise UsageError(user_messages.EMPTY_BRANCH)
    if not await branches.begin(turn_id, thread_id, question):
        raise UsageError(user_messages.NO_BRANCH)
    try:
        return await ask()
    except BaseException:
        await branches.remove_empty(thread_id)
        raise


async def forget_copies(
    branches: Branches, turn_id: str, forget: Callable[[str], Awaitable[None]], *, other_than: str = ""
) -> None:
    """Delete the copies of a question with ``forget``, but those that have the text ``other_than``."""
    for one in await branches.copies(turn_id, other_than=other_than):
        with suppress(UsageError):  # It was deleted meanwhile.
            await forget(one)
