"""Searches that come together wait for the connections to the standby. A busy standby does not count as away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bot.store.search_standby import SEARCHES, StandbySearch
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found


class CountingRetriever:
    """Counts the searches that run at the same time."""

    def __init__(self) -> None:
        self.running = self.most = 0

    async def version(self, tenant_id: str) -> int:
        return 1

    async def __call__(self, query: str, scope: Scope, **_: Any) -> Found:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        return Found((), {}, 0.0, 1)


class Sessions:
    @contextmanager
    def on_standby(self, version: int) -> Iterator[None]:
        yield


async def test_no_more_searches_run_on_the_standby_than_it_has_connections_for() -> None:
    retriever = CountingRetriever()
    search = StandbySearch(retriever, Sessions())  # type: ignore[arg-type]
    found = await asyncio.gather(*(search("q", Scope("t")) for _ in range(4 * SEARCHES)))
    assert {one.standby for one in found} == {"used"}
    assert retriever.most == SEARCHES
