"""The composition root: everything is built here, once, and closed in the reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from bot.channel_sources import channel_opener
from bot.commands.services import Services
from bot.config import Settings
from bot.engine.answer import budget, prompt
from bot.engine.dispatch.dispatcher import Dispatcher
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.engine import Engine
from bot.engine.ports.answer_cache import SimilarAnswers
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.llm import LLM
from bot.engine.ports.search import Search
from bot.engine.ports.stores import Stores
from bot.engine.routing.local_classifier import LocalClassifier
from bot.engine.routing.weights import shipped
from bot.errors import ParleyError
from bot.file_reader import FileReader
from bot.ingestion import Ingestion
from bot.llm import extractive
from bot.llm.build import build as build_llm
from bot.llm.model_classifier import ModelClassifier
from bot.llm.prices import Prices
from bot.llm.query_rewriting import ModelRewriter
from bot.llm.summarizing import ModelSummarizer
from bot.llm.tokens import TokenCounter
from bot.store import migrate
from bot.store.answer_cache.near_answers import PostgresSimilarAnswers
from bot.store.embedded import server as embedded_server
from bot.store.job_queue import Queue
from bot.store.notifications import Notifications, telling
from bot.store.session import NO_TENANT, Database
from bot.store.stores import open_stores
from bot.store.thread_memory import ThreadMemory
from bot.types.display import Pacing
from knowledge.cpu_threads import share_the_processor
from knowledge.embedders import build_embedder, open_stored
from knowledge.embedding_models import Models
from knowledge.ingest import Ingestor
from knowledge.ports import Embedder
from knowledge.rerankers import build_reranker
from knowledge.retriever import Retriever

SHUTDOWN_GRACE = 10.0
LINE_SECONDS = 2.0
"""Seconds that the start waits until other processes can see that this one lives."""

Port = TypeVar("Port")


def _itself(port: Port) -> Port:
    return port


@dataclass(frozen=True, slots=True)
class App:
    """What the platforms and the command line work with."""

    settings: Settings
    database: Database
    dispatcher: Dispatcher
    services: Services
    embedder: Embedder
    retriever: Retriever
    ingestor: Ingestor


@dataclass(frozen=True, slots=True)
class Overrides:
    """What may stand around the ports as they are wired, for those who watch or replace one; nothing by default."""

    stores: Callable[[Stores], Stores] = _itself
    llm: Callable[[LLM], LLM] = _itself
    search: Callable[[Search], Search] = _itself
    engine: type[Engine] = Engine


async def open_database(settings: Settings, stack: AsyncExitStack) -> str:
    """The address of the database, its server started where it is the embedded one. Raises ConfigError."""
    if settings.database_url:
        return settings.database_url.get_secret_value()
    server = await asyncio.to_thread(embedded_server.start, settings.data_dir)
    stack.callback(server.release)
    watching = asyncio.create_task(server.watch(), name="watching the embedded database")
    stack.push_async_callback(_ended, watching)
    return server.url


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[Database]:
    """The migrated database alone, for commands that need no model. Raises ConfigError."""
    async with AsyncExitStack() as stack:
        url = await open_database(settings, stack)
        await asyncio.to_thread(migrate.upgrade, url)
        database = Database(url)
        stack.push_async_callback(database.aclose)
        yield database


def opened_stores(
    database: Database, settings: Settings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Stores:
    """Return the storage ports over an open database."""
    return open_stores(database, settings, count_tokens=TokenCounter().count, clock=clock)


def expected_tokens(settings: Settings, count: Callable[[str], int]) -> Callable[[int], int]:
    """How many tokens are set aside for a question of so many when it is accepted."""

    @cache
    def system() -> int:
        return count(prompt.SYSTEM)

    return lambda question: budget.expected(question, system=system(), settings=settings)


def build_models(settings: Settings) -> Models:
    """The embedder of the settings, and how those of earlier settings are opened. Raises EmbeddingError."""
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
    """Start what is needed, migrate, and wire it. Raises ConfigError.

    The embedding model loads when it is first used; ``warm`` begins at once, beside the start of the database.
    """
    share_the_processor()
    async with AsyncExitStack() as stack:
        counter, prices = TokenCounter(), Prices.load(settings.prices_file)
        llm = overrides.llm(build_llm(settings, counter=counter, prices=prices))
        stack.push_async_callback(llm.aclose)
        models = build_models(settings)
        stack.push_async_callback(models.current.aclose)
        stack.push_async_callback(models.aclose)
        if warm:
            models.current.warm()
            stack.push_async_callback(_ended, asyncio.create_task(_ready(llm)))
        database = await stack.enter_async_context(opened_database(settings))
        retriever, ingestor = _open_knowledge(settings, database, models, stack)
        address = database.engine.url.render_as_string(hide_password=False)
        queue, notifications = Queue(address), Notifications(address)
        workspace_pacing = WorkspacePacing(notifications.process_id)
        stack.push_async_callback(queue.aclose)
        stores = overrides.stores(
            open_stores(
                database,
                settings,
                count_tokens=counter.count,
                clock=clock,
                holder=lambda: notifications.holder,
                expected=expected_tokens(settings, counter.count),
            )
        )
        search = overrides.search(retriever)
        reader = FileReader()
        stack.push_async_callback(reader.aclose)
        engine = overrides.engine(
            stores=stores,
            search=search,
            llm=llm,
            settings=settings,
            count_tokens=counter.count,
            classifier=_classifier(settings, llm, retriever),
            memory=ThreadMemory(database, models.current),
            rewriter=None if llm.model("cheap") == extractive.NAME else ModelRewriter(llm),
            summarizer=None if llm.model("cheap") == extractive.NAME else ModelSummarizer(llm),
            similar=_similar_answers(database, retriever, models.current),
            reader=reader,
            workspace_pacing=workspace_pacing,
            clock=clock,
        )
        dispatcher = Dispatcher(
            engine=engine,
            stores=stores,
            max_question_chars=settings.max_question_chars,
            clock=clock,
            max_turns=settings.max_turns,
        )
        stack.push_async_callback(
            _ended, asyncio.create_task(workspace_pacing.serve(_tell(database)), name="telling of edits")
        )
        await _open_line(notifications, dispatcher, workspace_pacing, stack)
        services = Services(
            settings=settings,
            database=database,
            dispatcher=dispatcher,
            stores=stores,
            search=search,
            ingestor=ingestor,
            models=models,
            queue=queue,
            ingestion=Ingestion(database, queue, clock=clock),
            llm=llm,
            prices=prices,
            clock=clock,
            workspace_pacing=workspace_pacing,
            open_channel=channel_opener(settings, database),
        )
        yield App(settings, database, dispatcher, services, models.current, retriever, ingestor)


def _open_knowledge(
    settings: Settings, database: Database, models: Models, stack: AsyncExitStack
) -> tuple[Retriever, Ingestor]:
    """What reads the documents and what takes them in. Raises EmbeddingError."""
    reranker = build_reranker(settings.reranker, models.current)
    if reranker is not None:
        stack.push_async_callback(reranker.aclose)
    retriever = Retriever(database.tenant, models.current, reranker, models=models)
    ingestor = Ingestor(
        database.tenant,
        models.current,
        chunk_tokens=settings.chunk_tokens,
        chunking=settings.chunking,
        chunk_overlap=settings.chunk_overlap,
        models=models,
    )
    stack.push_async_callback(ingestor.aclose)
    return retriever, ingestor


async def _open_line(
    notifications: Notifications, dispatcher: Dispatcher, workspace_pacing: WorkspacePacing, stack: AsyncExitStack
) -> None:
    """Let the desk hear other processes, and them see that this one lives; it closes before the line does."""
    listening = asyncio.create_task(
        notifications.serve(dispatcher.notice, workspace_pacing.receive_report), name="line to the database"
    )
    stack.push_async_callback(_ended, listening)
    with suppress(TimeoutError):
        await asyncio.wait_for(notifications.connected(), LINE_SECONDS)
    stack.push_async_callback(dispatcher.close, SHUTDOWN_GRACE)


def _tell(database: Database) -> Callable[[Sequence[Pacing]], Awaitable[None]]:
    async def send(pacings: Sequence[Pacing]) -> None:
        await database.flush(NO_TENANT, telling(pacings))

    return send


def _similar_answers(database: Database, retriever: Retriever, embedder: Embedder) -> SimilarAnswers | None:
    """Answers are compared by the vectors of their questions, where a vector costs nothing."""
    if embedder.billed:
        return None
    return PostgresSimilarAnswers(database, retriever.encode_ahead, retriever.model)


def _classifier(settings: Settings, llm: LLM, retriever: Retriever) -> Classifier:
    """The router's weights know the vectors of one embedding model; with another they see the question's form."""
    known = retriever.model == shipped().embedding_model
    local = LocalClassifier(settings.strong_share, retriever.encode_ahead if known else None)
    return ModelClassifier(llm, local) if settings.router == "model" else local


async def _ready(llm: LLM) -> None:
    """Load what the models need; a fault shows, in its own words, when a question is asked."""
    with suppress(ParleyError):
        await llm.ready()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
