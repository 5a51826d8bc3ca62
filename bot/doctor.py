"""``parley doctor``: every check says what is wrong in one line and what to do about it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from bot.config import Settings
from bot.errors import ParleyError
from bot.store import migrate
from bot.store.session import APP_ROLE, Database
from knowledge.embedding_models import Models
from knowledge.errors import KnowledgeError
from knowledge.reembed import Standing, standing

OLDEST_POSTGRES = 140000
OLDEST_PGVECTOR = (0, 7)


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. ``fix`` is empty where nothing is to be done."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


async def examine(settings: Settings) -> list[Check]:
    """Every check, in the order of the set-up. Never raises."""
    found = [_data_dir(settings)]
    found += await _told("database", lambda: _database(settings))
    found += await _told("embedding model", lambda: _embedder(settings))
    found += await _told("embedding model", lambda: _reembedding(settings))
    found += await _told("parser sandbox", _parser_sandbox)
    found += await _told("models", lambda: _models(settings))
    found += await _told("slack", lambda: _slack(settings))
    found += await _told("discord", lambda: _discord(settings))
    return found


async def _told(name: str, check: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    try:
        return await check()
    except (ParleyError, KnowledgeError) as error:
        fault, _, fix = str(error).partition(". ")
        return [Check(name, False, fault, fix)]
    except Exception as error:
        return [Check(name, False, f"{type(error).__name__}: {error}", "Run again with PARLEY_LOG_LEVEL=DEBUG.")]


def _data_dir(settings: Settings) -> Check:
    folder = settings.data_dir.expanduser().resolve()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(there, os.W_OK):
        return Check("data folder", True, str(folder))
    return Check("data folder", False, f"{folder} cannot be written", "Set PARLEY_DATA_DIR to a folder that can be.")


async def _database(settings: Settings) -> list[Check]:
    from bot.app import open_database

    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        current, newest = await asyncio.to_thread(migrate.revisions, url)
        database = Database(url)
        stack.push_async_callback(database.aclose)
        async with database.engine.connect() as connection:
            facts = (await connection.execute(text(_FACTS), {"role": APP_ROLE})).one()
    kind = "DATABASE_URL" if settings.database_url else "embedded"
    return [
        Check(
            "database",
            facts.version >= OLDEST_POSTGRES,
            f"PostgreSQL {facts.shown} ({kind})",
            "" if facts.version >= OLDEST_POSTGRES else "Use PostgreSQL 14 or later.",
        ),
        _pgvector(facts.pgvector or facts.available),
        *_schema(current, newest, facts),
    ]


_FACTS = """
    SELECT current_setting('server_version_num')::int AS version,
           current_setting('server_version') AS shown,
           (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS pgvector,
           (SELECT default_version FROM pg_available_extensions WHERE name = 'vector') AS available,
           (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses,
           EXISTS (
               SELECT FROM pg_roles WHERE rolname = :role AND pg_has_role(current_user, oid, 'MEMBER')
           ) AS takes_role
"""


def _schema(current: str | None, newest: str | None, facts: Any) -> list[Check]:
    if current is None:
        return [Check("schema", True, "none yet; the first start makes it")]
    if current != newest:
        return [
            Check("schema", False, f"at {current}, newest is {newest}", "Run: parley db upgrade"),
            _isolation(facts),
        ]
    return [Check("schema", True, f"at revision {current}"), _isolation(facts)]


def _pgvector(version: str | None) -> Check:
    if version is None:
        return Check("pgvector", False, "not installed on this server", "Install pgvector 0.7 or later.")
    ok = tuple(int(part) for part in version.split(".")[:2]) >= OLDEST_PGVECTOR
    return Check("pgvector", ok, version, "" if ok else "Upgrade pgvector to 0.7 or later.")


def _isolation(facts: Any) -> Check:
    if facts.takes_role:
        return Check("tenant isolation", True, f"every transaction takes the role {APP_ROLE}")
    if facts.bypasses:
        return Check(
            "tenant isolation",
            False,
            "the connecting role bypasses row-level security",
            f"Connect as an ordinary role, or run 'parley db upgrade' so that {APP_ROLE} exists.",
        )
    return Check("tenant isolation", True, "row-level security binds the connecting role")


async def _parser_sandbox() -> list[Check]:
    """Start the process that parses files, and report how it is isolated and whether it can import every parser."""
    from knowledge.parsing.sandbox import Parser

    parser = Parser()
    try:
        isolation = await parser.isolation()
        unavailable = await parser.unavailable_formats()
    except (OSError, EOFError, TimeoutError):
        return [
            Check(
                "parser sandbox",
                False,
                "the process that parses files does not start",
                "Run: python -m knowledge.parsing.worker_process < /dev/null",
            )
        ]
    finally:
        await parser.aclose()
    if unavailable:
        detail = f"{isolation}; these formats cannot be read in it: {', '.join(unavailable)}"
        return [Check("parser sandbox", False, detail, "Install Parley and its libraries into one environment.")]
    fix = "" if isolation.complete else f"A malicious file {isolation.risk}. {_SANDBOX_ADVICE}"
    return [Check("parser sandbox", True, str(isolation), fix)]


_SANDBOX_ADVICE = "Use Linux 6.12 or later, and a container that allows Landlock and seccomp."


async def _embedder(settings: Settings) -> list[Check]:
    from bot.app import build_models
    from knowledge.search import INDEXED_DIMENSIONS

    models = build_models(settings)
    try:
        encoded = await models.current.encode(["Is anybody there?"], "query")
    finally:
        await models.current.aclose()
    dimensions = encoded.vectors.shape[1]
    detail = f"{models.current.model}, {dimensions} dimensions"
    if dimensions in INDEXED_DIMENSIONS:
        return [Check("embedding model", True, detail)]
    known = ", ".join(map(str, INDEXED_DIMENSIONS))
    fix = f"Above 10,000 passages searches are slow: set PARLEY_EMBEDDING_DIMENSIONS to one of {known}."
    return [Check("embedding model", True, f"{detail}, for which there is no index", fix)]


async def _reembedding(settings: Settings) -> list[Check]:
    """How far a change of the embedding model is, tenant by tenant, and whether the old model can still be used."""
    from bot.app import build_models, open_database
    from bot.jobs.maintenance import every_tenant

    found: list[Check] = []
    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        current, newest = await asyncio.to_thread(migrate.revisions, url)
        if current != newest:
            return []
        database = Database(url)
        stack.push_async_callback(database.aclose)
        models = build_models(settings)
        stack.push_async_callback(models.current.aclose)
        stack.push_async_callback(models.aclose)
        for tenant_id in await every_tenant(database):
            async with database.tenant(tenant_id) as session:
                at = await standing(session, tenant_id)
            if at is not None:
                found.append(await _changing(models, tenant_id, at))
    return found


async def _changing(models: Models, tenant_id: str, at: Standing) -> Check:
    name = f"embedding model of {tenant_id}"
    try:
        await models.load(at.model)
    except KnowledgeError as error:
        detail = f"re-embedding {at.done:,} of {at.total:,} with {at.next_model}; {at.model} cannot be used: {error}"
        return Check(name, False, detail, "Until it is done the other passages are found by their words alone.")
    return Check(name, True, str(at), "A running 'parley up' or 'parley worker' goes on with it.")


async def _models(settings: Settings) -> list[Check]:
    from bot.llm.diagnostics import check

    return _checks(await check(settings))


async def _slack(settings: Settings) -> list[Check]:
    if not settings.has_slack:
        return [Check("slack", True, "no token is set", "docs/slack.md has the five steps.")]
    from bot.app import open_database
    from bot.platforms.slack.diagnostics import check

    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        current, newest = await asyncio.to_thread(migrate.revisions, url)
        if current != newest:
            return _checks(await check(settings))
        database = Database(url)
        stack.push_async_callback(database.aclose)
        return _checks(await check(settings, database=database))


async def _discord(settings: Settings) -> list[Check]:
    if not settings.discord_token:
        return [Check("discord", True, "no token is set", "docs/discord.md has the five steps.")]
    from bot.platforms.discord.diagnostics import check

    return _checks(await check(settings))


def _checks(found: Iterable[Any]) -> list[Check]:
    return [Check(one.name, one.ok, one.detail, one.fix) for one in found]
