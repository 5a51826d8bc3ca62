"""The log tells a search that the standby canceled from a standby that does not answer."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import cast

import psycopg
import pytest

from bot.store.database.session import Database
from bot.store.search_standby import SearchSessions, StandbySearch
from knowledge.search.retriever import Retriever
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found


class FailingOnce:
    """A retriever whose first search, the one on the standby, fails."""

    def __init__(self, error: psycopg.Error) -> None:
        self._errors = [error]

    async def version(self, tenant_id: str) -> int:
        return 1

    async def __call__(self, query: str, scope: Scope, **more: object) -> Found:
        if self._errors:
            raise self._errors.pop()
        return Found((), {}, 0.0, 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.errors.SerializationFailure("canceling statement due to conflict with recovery"), "canceled a search"),
        (psycopg.OperationalError("no answer within 5 s"), "does not answer"),
    ],
)
async def test_the_log_says_why_the_primary_is_read(
    database_url: str, caplog: pytest.LogCaptureFixture, error: psycopg.Error, said: str
) -> None:
    caplog.set_level(logging.INFO, "bot.store.search_standby")
    async with aclosing(Database(database_url)) as database:
        retriever = cast(Retriever, FailingOnce(error))
        search = StandbySearch(retriever, SearchSessions(database, database))
        found = await search("Where do zebras live?", Scope("slack:A"))
    assert found.standby == "away"
    assert [said in record.message for record in caplog.records] == [True], caplog.text
