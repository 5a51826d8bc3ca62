"""The composition root: builds everything once and closes it in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TypeVar

from bot.channel_history_sources import channel_opener
from bot.commands.services import Services, daily_limit
from bot.config import Settings
from bot.engine.answer import budget_limits, prompt
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.engine import Engine
from bot.engine.ports.answer_cache import SimilarAnswers
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.llm import LLM
from bot.engine.ports.search import Search
from bot.engine.ports.stores import Stores
from bot.engine.ports.telemetry import Telemetry
from bot.engine.routing.local_classifier import LocalClassifier
from bot.engine.routing.weights import shipped
from bot.errors import ParleyError
from bot.file_reader import FileReader
from bot.health import Health
from bot.ingestion import Ingestion
from bot.llm.build import build as build_llm
from bot.llm.build import is_free, model_names
from bot.llm.model_classifier import ModelClassifier
from bot.llm.prices import Prices
from bot.llm.query_rewriting import ModelRewriter
from bot.llm.quoting import extractive
from bot.llm.search_planning import ModelSearchPlanner
from bot.llm.summarizing import ModelSummarizer
from bot.llm.tokens import TokenCounter
from bot.store import refusals
from bot.store.answer_cache.similar_answers import PostgresSimilarAnswers
from bot.store.budgets import token_ratios
from bot.store.database.job_queue import Queue
from bot.store.database.notifications import Notifications, telling
from bot.store.database.session import NO_TENANT, Database
from bot.store.database_startup import opened_database
from bot.store.periodic_storing import stored_regularly
from bot.store.search_standby import StandbySearch, opened_sessions
from bot.store.stores import open_stores
from bot.store.turns.thread_memory import ThreadMemory
from bot.store.verified_answers.similar_questions import PostgresVerifiedAnswers
from bot.telemetry.build import build_telemetry
from bot.telemetry.prometheus_metrics import PrometheusMetrics
from bot.types.display import Pacing
from knowledge.embedders import build_embedder, open_stored
from knowledge.embedders.cpu_threads import share_the_processor
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.parser_pool import ParserPool
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Embedder, Sessions
from knowledge.search.rerankers import build_reranker
from knowledge.search.retriever import Retriever
from knowledge.store.embedding_models import Models

CLOSING_SECONDS = 3.0
"""Seconds of ``Settings.shutdown_seconds`` for handing back unfinished answers and closing everything."""
CONNECT_SECONDS = 2.0
"""Timeout of the first connection for notifications, which shows other processes that this one is alive."""

Port = TypeVar("Port")


def _unchanged(port: Port) -> Port:
    return port


@dataclass(frozen=True, slots=True)
class App:
    """The opened application: the services that platforms and the command line use."""

    settings: Settings
    database: Database
    dispatcher: Dispatcher
    services: Services
    embedder: Embedder
    retriever: Retriever
    ingestor: Ingestor


@dataclass(frozen=True, slots=True)
class Overrides:
    """Functions that wrap or replace ports as they are wired, for tests and benchmarks."""

    stores: Callable[[Stores], Stores] = _unchanged
    llm: Callable[[LLM], LLM] = _unchanged
    search: Callable[[Search], Search] = _unchanged
    engine: type[Engine] = Engine


def grace_of(settings: Settings) -> float:
    """Return the seconds that running answers and jobs have to end at a shutdown."""
    return max(0.0, settings.shutdown_seconds - CLOSING_SECONDS)


def expected_tokens(settings: Settings, count: Callable[[str], int]) -> Callable[[int], int]:
    """Return a function that takes a question's length in tokens and returns the tokens to reserve for it."""

    @cache
    def system() -> int:
        return count(prompt.SYSTEM)

    return lambda question: budget_limits.expected(question, system=system(), settings=settings)


def build_models(settings: Settings) -> Models:
    """Return the configured embedder, and a function that opens other embedding models. Raises EmbeddingError."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else None
    address = settings.openai_base_url

    def opened(stored: str) -> Embedder:
        return open_stored(stored, openai_api_key=key, openai_base_url=address)

    current = build_embedder(
        settings.embedding_model,
        dimensions=settings.embedding_dimensions,
        openai_api_key=key,
        openai_base_url=address,
    )
    return Models(current, opened)


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    warm: bool = False,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    overrides: Overrides = Overrides(),
) -> AsyncIterator[App]:
    """Open the database, migrate its schema, and build the application. Raises ConfigError.

    The embedding model loads on its first use; ``warm`` loads it at once, while the database starts.
    """
    share_the_processor()
    async with AsyncExitStack() as stack:
        health = Health()
        metrics = PrometheusMetrics(health)
        counter, prices = TokenCounter(model_names(settings)), Prices.load(settings.prices_file)
        free = is_free(settings, prices)
        llm = overrides.llm(build_llm(settings, counter=counter, prices=prices))
        stack.push_async_callback(llm.aclose)
        models = build_models(settings)
        stack.push_async_callback(models.current.aclose)
        stack.push_async_callback(models.aclose)
        if warm:
            models.current.warm()
            stack.push_async_callback(_cancelled, asyncio.create_task(_ready(llm)))
        database = await stack.enter_async_context(opened_database(settings, health))
        searching = await stack.enter_async_context(opened_sessions(settings.search_database_url, database))
        retriever, ingestor = _open_knowledge(settings, database, searching or database.tenant, models, stack)
        queue, notifications = Queue(database.session_url), Notifications(database.session_url, health=health)
        stack.push_async_callback(queue.aclose)
        stores = overrides.stores(
            open_stores(
                database,
                settings,
                count_tokens=counter.count,
                clock=clock,
                holder=lambda: notifications.holder,
                evidence=lambda: notifications.evidence,
                expected=(lambda _: 0) if free else expected_tokens(settings, counter.count),
            )
        )
        standby = StandbySearch(retriever, searching) if searching else None
        if standby:
            stack.push_async_callback(standby.aclose)
        search = overrides.search(standby or retriever)
        pacing = WorkspacePacing(notifications.process_id)
        count = counter.count
        wired = _Wired(settings, database, llm, stores, search, retriever, models.current, count, pacing, free, clock)
        telemetry = build_telemetry(settings, metrics, stack)
        dispatcher = _open_dispatcher(wired, telemetry, overrides.engine, stack)
        await store_counts(database, counter, clock, stack)
        await _connect_processes(notifications, dispatcher, pacing, database, stack)
        services = Services(
            settings=settings,
            database=database,
            dispatcher=dispatcher,
            stores=stores,
            search=search,
            ingestor=ingestor,
            models=models,
            queue=queue,
            ingestion=Ingestion(database, queue, clock=clock, limit=daily_limit(settings, clock)),
            llm=llm,
            prices=prices,
            clock=clock,
            workspace_pacing=pacing,
            health=health,
            telemetry=telemetry,
            metrics=metrics.exposition,
            open_channel=channel_opener(settings, database),
        )
        yield App(settings, database, dispatcher, services, models.current, retriever, ingestor)


@dataclass(frozen=True, slots=True)
class _Wired:
    """The parts that the engine is built from."""

    settings: Settings
    database: Database
    llm: LLM
    stores: Stores
    search: Search
    retriever: Retriever
    embedder: Embedder
    count_tokens: Callable[[str], int]
    pacing: WorkspacePacing
    free: bool
    clock: Callable[[], datetime]


def _open_dispatcher(
    wired: _Wired, telemetry: Telemetry, engine_type: type[Engine], stack: AsyncExitStack
) -> Dispatcher:
    """Build the engine and the dispatcher over it."""
    settings, llm = wired.settings, wired.llm
    reader = FileReader(max_unpacked=settings.max_unpacked_mb * 2**20)
    has_model = llm.model("cheap") != extractive.NAME
    stack.push_async_callback(reader.aclose)
    engine = engine_type(
        stores=wired.stores,
        search=wired.search,
        llm=llm,
        settings=settings,
        count_tokens=wired.count_tokens,
        classifier=_classifier(settings, llm, wired.retriever),
        memory=ThreadMemory(wired.database, wired.embedder),
        rewriter=ModelRewriter(llm) if has_model else None,
        planner=ModelSearchPlanner(llm) if has_model else None,
        summarizer=ModelSummarizer(llm) if has_model else None,
        similar=_similar_answers(wired.database, wired.retriever, wired.embedder),
        verified=PostgresVerifiedAnswers(wired.database, wired.retriever.encode_ahead, wired.retriever.model),
        reader=reader,
        workspace_pacing=wired.pacing,
        telemetry=telemetry,
        free=wired.free,
        clock=wired.clock,
    )
    return Dispatcher(
        engine=engine,
        stores=wired.stores,
        max_question_chars=settings.max_question_chars,
        clock=wired.clock,
        max_turns=settings.max_turns,
        grace=grace_of(settings),
    )


def _open_knowledge(
    settings: Settings, database: Database, searching: Sessions, models: Models, stack: AsyncExitStack
) -> tuple[Retriever, Ingestor]:
    """Build retrieval and ingestion. Raises EmbeddingError."""
    reranker = build_reranker(settings.reranker, models.current)
    if reranker is not None:
        stack.push_async_callback(reranker.aclose)
    retriever = Retriever(searching, models.current, reranker, models=models, refresh_seconds=settings.refresh_seconds)
    ingestor = Ingestor(
        database.bulk,
        models.current,
        chunk_tokens=settings.chunk_tokens,
        chunking=settings.chunking,
        chunk_overlap=settings.chunk_overlap,
        models=models,
        keep_gone=timedelta(days=settings.gone_days),
        parser=ParserPool(partial(Parser, max_unpacked=settings.max_unpacked_mb * 2**20)),
    )
    stack.push_async_callback(ingestor.aclose)
    return retriever, ingestor


async def _connect_processes(
    notifications: Notifications,
    dispatcher: Dispatcher,
    pacing: WorkspacePacing,
    database: Database,
    stack: AsyncExitStack,
) -> None:
    """Exchange notifications with other processes. The dispatcher closes before the connection does."""
    reporting = asyncio.create_task(pacing.serve(_tell(database)), name="reports of edits")
    stack.push_async_callback(_cancelled, reporting)
    listening = asyncio.create_task(notifications.serve(dispatcher.notice, pacing.receive_report), name="notifications")
    stack.push_async_callback(_cancelled, listening)
    with suppress(TimeoutError):
        await asyncio.wait_for(notifications.connected(), CONNECT_SECONDS)
    stack.push_async_callback(dispatcher.close)


async def store_counts(
    database: Database, counter: TokenCounter, clock: Callable[[], datetime], stack: AsyncExitStack
) -> None:
    """Store the refusals and the learned token counts of this process in the background. Restore the latter first."""

    async def store_refusals() -> None:
        await refusals.store(database, clock().date())

    stored: dict[str, float] = {}

    async def store_ratios() -> None:
        learned = counter.learned()
        if learned != stored:
            await token_ratios.save(database, learned)
            stored.update(learned)

    counter.restore(await token_ratios.load(database))
    await stack.enter_async_context(stored_regularly("counts of refusals", store_refusals))
    await stack.enter_async_context(stored_regularly("learned token counts", store_ratios))


def _tell(database: Database) -> Callable[[Sequence[Pacing]], Awaitable[None]]:
    async def send(pacings: Sequence[Pacing]) -> None:
        await database.flush(NO_TENANT, telling(pacings))

    return send


def _similar_answers(database: Database, retriever: Retriever, embedder: Embedder) -> SimilarAnswers | None:
    """Return the search for similar answers, or None if the vector of a question costs money."""
    if embedder.billed:
        return None
    return PostgresSimilarAnswers(database, retriever.encode_ahead, retriever.model)


def _classifier(settings: Settings, llm: LLM, retriever: Retriever) -> Classifier:
    """Build the router's classifier. With another embedding model than its weights, it uses lexical features only."""
    known = retriever.model == shipped().embedding_model
    local = LocalClassifier(settings.strong_share, retriever.encode_ahead if known else None)
    return ModelClassifier(llm, local) if settings.router == "model" else local


async def _ready(llm: LLM) -> None:
    """Load what the models need. A failure is shown when a question is asked."""
    with suppress(ParleyError):
        await llm.ready()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancel a background task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
