"""Checks of ``parley doctor``: data folder, database, models, web sign-in and platforms, with fixes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from bot.config import Settings
from bot.errors import ParleyError
from bot.store.database import migrate
from bot.store.database.session import Database
from bot.types.checks import Check
from knowledge.errors import KnowledgeError
from knowledge.ingest.reembed import ReembedProgress, read_progress
from knowledge.store.embedding_models import Models
from knowledge.text.secret_redaction import redact


async def run_checks(settings: Settings) -> list[Check]:
    """Run all checks, in the order in which the parts are set up. Never raises."""
    checks = [_data_dir(settings), _retention(settings)]
    for name, check in _CHECKS:
        checks += await _guarded(name, partial(check, settings))
    return checks


async def check_part(part: str, settings: Settings) -> list[Check]:
    """Run the checks of one part: ``database``, ``models``, ``slack`` or ``discord``. Never raises."""
    return [one for name, check in _CHECKS if name == part for one in await _guarded(name, partial(check, settings))]


async def _guarded(name: str, check: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    """Run one check; turn an error into a failed check."""
    try:
        return await check()
    except (ParleyError, KnowledgeError) as error:
        return [Check.failed(name, str(error))]
    except Exception as error:
        fix = "Run 'parley doctor' again with PARLEY_LOG_LEVEL=DEBUG for details."
        return [Check(name, False, redact(f"{type(error).__name__}: {error}"), fix)]


def _data_dir(settings: Settings) -> Check:
    folder = settings.data_dir.resolve()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(existing, os.W_OK):
        return Check("data folder", True, str(folder))
    return Check("data folder", False, f"{folder} is not writable", "Set PARLEY_DATA_DIR to a writable folder.")


def _retention(settings: Settings) -> Check:
    if settings.retention_days is None:
        return Check("retention", True, "conversations are kept", "To delete old ones, set PARLEY_RETENTION_DAYS.")
    return Check("retention", True, f"the worker deletes conversations after {settings.retention_days} days")


async def _database(settings: Settings) -> list[Check]:
    from bot.store.database_startup import open_database, session_url
    from bot.store.diagnostics import check
    from bot.store.standby_diagnostics import check_standby

    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        origin = "DATABASE_URL" if settings.database_url else "bundled server"
        checks = await check(url, session_url(settings, url), origin)
        if settings.search_database_url is not None:
            checks.append(await check_standby(url, settings.search_database_url.get_secret_value()))
        return checks


async def _parser_sandbox(_: Settings) -> list[Check]:
    """Start the process that parses files, and report how it is isolated and whether it can import every parser."""
    from knowledge.parsing.isolation.sandbox import Parser

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
                "Run: python -m knowledge.parsing.isolation.worker_process < /dev/null",
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
    from knowledge.search.vector_search import INDEXED_DIMENSIONS

    models = build_models(settings)
    try:
        encoded = await models.current.encode(["Is anybody there?"], "query")
    finally:
        await models.current.aclose()
    dimensions = encoded.vectors.shape[1]
    detail = f"{models.current.model}, {dimensions} dimensions"
    if dimensions in INDEXED_DIMENSIONS:
        return [Check("embedding model", True, detail)]
    indexed = ", ".join(map(str, INDEXED_DIMENSIONS))
    fix = f"Searches are slow above 10,000 passages. Set PARLEY_EMBEDDING_DIMENSIONS to one of {indexed}."
    return [Check("embedding model", True, f"{detail}, a size without an index", fix)]


async def _reranker(settings: Settings) -> list[Check]:
    """Score a passage with the reranker, which loads its model."""
    from bot.app import build_models
    from knowledge.search.rerankers import CrossEncoderReranker, build_reranker

    models = build_models(settings)
    try:
        reranker = build_reranker(settings.reranker, models.current)
        if reranker is None:
            return [Check("reranker", True, "none")]
        try:
            if isinstance(reranker, CrossEncoderReranker):
                await reranker.load()
        finally:
            await reranker.aclose()
    finally:
        await models.current.aclose()
    return [Check("reranker", True, reranker.name)]


@asynccontextmanager
async def _migrated_database(settings: Settings) -> AsyncIterator[Database | None]:
    """Open the database; None if its schema is not that of this version, which another check reports."""
    from bot.store.database_startup import open_database

    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        current, newest = await asyncio.to_thread(migrate.revisions, url)
        if current != newest:
            yield None
            return
        database = Database(url)
        stack.push_async_callback(database.aclose)
        yield database


async def _reembedding(settings: Settings) -> list[Check]:
    """Check the progress of re-embedding for each tenant, and whether its previous model can still be used."""
    from bot.app import build_models
    from bot.store.tenants import every_tenant

    checks: list[Check] = []
    async with _migrated_database(settings) as database, AsyncExitStack() as stack:
        if database is None:
            return []
        models = build_models(settings)
        stack.push_async_callback(models.current.aclose)
        stack.push_async_callback(models.aclose)
        for tenant_id in await every_tenant(database):
            async with database.tenant(tenant_id) as session:
                at = await read_progress(session, tenant_id)
            if at is not None:
                checks.append(await _reembedding_check(models, tenant_id, at))
    return checks


async def _reembedding_check(models: Models, tenant_id: str, at: ReembedProgress) -> Check:
    name = f"embedding model of {tenant_id}"
    try:
        await models.load(at.model)
    except KnowledgeError as error:
        detail = f"re-embedding {at.done:,} of {at.total:,} with {at.next_model}; {at.model} cannot be used: {error}"
        return Check(
            name, False, detail, "Until re-embedding is done, the remaining passages are found only by keywords."
        )
    return Check(name, True, str(at), "Keep 'parley up' or 'parley worker' running to continue it.")


async def _languages(settings: Settings) -> list[Check]:
    """Check for each tenant whether the embedding model knows the language of the documents."""
    from bot.commands.language_suggestion import suggest_multilingual
    from bot.store.tenants import every_tenant

    checks: list[Check] = []
    async with _migrated_database(settings) as database:
        if database is None:
            return []
        for tenant_id in await every_tenant(database):
            suggestion = await suggest_multilingual(database, tenant_id, settings.embedding_model)
            if suggestion:
                detail, _, fix = suggestion.partition(". ")
                checks.append(Check(f"languages of {tenant_id}", True, detail, fix))
    return checks


async def _models(settings: Settings) -> list[Check]:
    from bot.llm.diagnostics import check

    return await check(settings)


async def _web(settings: Settings) -> list[Check]:
    from bot.platforms.web.diagnostics import check

    return await check(settings)


async def _slack(settings: Settings) -> list[Check]:
    if not settings.has_slack:
        return [Check("slack", True, "no token is set", "To connect Slack, see docs/slack.md.")]
    from bot.platforms.slack.diagnostics import check
    from bot.store.database_startup import open_database

    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        current, newest = await asyncio.to_thread(migrate.revisions, url)
        if current != newest:
            return await check(settings)
        database = Database(url)
        stack.push_async_callback(database.aclose)
        return await check(settings, database=database)


async def _discord(settings: Settings) -> list[Check]:
    if not settings.discord_token:
        return [Check("discord", True, "no token is set", "To connect Discord, see docs/discord.md.")]
    from bot.platforms.discord.diagnostics import check

    return await check(settings)


_CHECKS: tuple[tuple[str, Callable[[Settings], Awaitable[list[Check]]]], ...] = (
    ("database", _database),
    ("embedding model", _embedder),
    ("reranker", _reranker),
    ("embedding model", _reembedding),
    ("languages", _languages),
    ("parser sandbox", _parser_sandbox),
    ("models", _models),
    ("web sign-in", _web),
    ("slack", _slack),
    ("discord", _discord),
)
"""The checks that may need time or a connection, by the name that an error of theirs is reported under."""
