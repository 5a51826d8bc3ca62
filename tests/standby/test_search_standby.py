"""A search on a standby misses no change of the documents from before the question, whatever happens to the standby."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.store.database import session
from bot.store.database.session import Database
from bot.store.privacy import erasure
from bot.store.search_standby import AWAY_SECONDS, SearchSessions, StandbySearch, StandbyUnfit, opened_sessions
from knowledge.ingest import Ingestor
from knowledge.parsing.isolation.sandbox import Parser
from knowledge.ports import Encoded, EncodeKind
from knowledge.search.retriever import Retriever
from knowledge.store import document_catalog
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage
from knowledge.types.source_items import Failure
from tests.knowledge.fakes import ListSource, WordEmbedder, markdown
from tests.standby.conftest import WAIT_SECONDS, Replicas

QUESTION = "Where do zebras live?"
ZEBRAS = markdown("zebras.md", "# Zebras\n\nZebras live in the savanna.")
TIGERS = markdown("tigers.md", "# Tigers\n\nTigers live in the jungle.")


class CrashingEmbedder(WordEmbedder):
    """Does something before it encodes the next question."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[], None] | None = None

    async def encode(self, texts: Sequence[str], kind: EncodeKind) -> Encoded:
        if kind == "query" and self.before is not None:
            before, self.before = self.before, None
            before()
        return await super().encode(texts, kind)


class CrashingReranker:
    """Scores by place, and does something before it scores the next passages."""

    name = "by place"
    before: Callable[[], None] | None = None

    async def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        if self.before is not None:
            before, self.before = self.before, None
            before()
        return [float(-place) for place in range(len(passages))]

    async def aclose(self) -> None:
        return None


@dataclass(slots=True)
class Scene:
    """A tenant of its own with documents about two animals, on both servers, and a search on the standby."""

    database: Database
    sessions: SearchSessions
    embedder: CrashingEmbedder
    reranker: CrashingReranker
    ingestor: Ingestor
    now: float = 0.0
    tenant: str = field(default_factory=lambda: f"slack:{uuid.uuid4().hex}")
    source: ListSource = field(default_factory=lambda: ListSource("list", ZEBRAS, TIGERS))

    def __post_init__(self) -> None:
        self.retriever = Retriever(self.sessions, self.embedder, self.reranker)
        self.search = StandbySearch(self.retriever, self.sessions, monotonic=lambda: self.now)

    retriever: Retriever = field(init=False)
    search: StandbySearch = field(init=False)

    async def ingest(self) -> None:
        report = await self.ingestor.ingest([self.source], tenant_id=self.tenant)
        assert report.failed == ()

    async def ask(self) -> Found:
        return await self.search(QUESTION, Scope(self.tenant))

    async def until_used(self) -> None:
        """Search until the standby serves. Raises TimeoutError."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self.ask()).standby != "used":
                self.now += AWAY_SECONDS

    async def search_without_check(self) -> Found:
        """Search the standby as it is, whatever the primary knows."""
        with self.sessions.on_standby(0):
            return await self.retriever(QUESTION, Scope(self.tenant))


@pytest.fixture
async def scene(replicas: Replicas) -> AsyncIterator[Scene]:
    async with (
        aclosing(Database(replicas.primary.url)) as database,
        opened_sessions(SecretStr(replicas.url), database) as sessions,
        aclosing(Parser()) as parser,
    ):
        assert sessions is not None
        embedder = CrashingEmbedder()
        scene = Scene(
            database, sessions, embedder, CrashingReranker(), Ingestor(database.bulk, embedder, parser=parser)
        )
        await scene.ingest()
        replicas.wait_for_replay()
        yield scene


def sources(found: Found) -> list[str]:
    return [passage.source for passage in found.passages]


async def test_a_standby_that_has_all_documents_is_searched(scene: Scene) -> None:
    found = await scene.ask()
    assert (found.standby, sources(found)[0]) == ("used", "zebras.md")
    assert found.knowledge_version == await scene.retriever.version(scene.tenant)


async def test_no_document_from_before_the_question_is_missed_while_the_standby_is_behind(
    scene: Scene, replicas: Replicas
) -> None:
    replicas.pause()
    scene.source.items.append(markdown("zoo.md", "# Zoo\n\nZebras live in the zoo, too."))
    await scene.ingest()
    assert "zoo.md" not in sources(await scene.search_without_check()), "the standby is behind"
    found = await scene.ask()
    assert (found.standby, "zoo.md" in sources(found)) == ("behind", True)
    replicas.resume()
    found = await scene.ask()
    assert (found.standby, "zoo.md" in sources(found)) == ("used", True)


async def delete(scene: Scene) -> None:
    async with scene.database.tenant(scene.tenant) as opened:
        select = text("SELECT id FROM documents WHERE tenant_id = :tenant AND uri = 'zebras.md'")
        document_id = str(await opened.scalar(select, {"tenant": scene.tenant}))
        await document_catalog.delete(opened, scene.tenant, document_id)


async def make_private(scene: Scene) -> None:
    scene.source.items[0] = Failure("zebras.md", "it is private now", private=True)
    report = await scene.ingestor.ingest([scene.source], tenant_id=scene.tenant)
    assert [one.source for one in report.failed] == ["zebras.md"]


async def remove_from_source(scene: Scene) -> None:
    scene.source.items.remove(ZEBRAS)
    await scene.ingest()


async def correct(scene: Scene) -> None:
    scene.source.items[0] = markdown("zebras.md", "# Other animals\n\nNothing is known of them.")
    await scene.ingest()


@pytest.mark.parametrize("change", [delete, make_private, remove_from_source, correct])
async def test_what_was_deleted_or_hidden_is_not_found_on_a_standby_that_still_has_it(
    scene: Scene, replicas: Replicas, change: Callable[[Scene], Awaitable[None]]
) -> None:
    replicas.pause()
    await change(scene)
    savanna = [one for one in (await scene.search_without_check()).passages if "savanna" in one.text]
    assert savanna, "the standby still has the text"
    found = await scene.ask()
    assert found.standby == "behind"
    assert [one for one in found.passages if "savanna" in one.text] == []


async def test_an_erasure_holds_on_a_standby_that_is_behind(scene: Scene, replicas: Replicas) -> None:
    replicas.pause()
    before = await scene.retriever.version(scene.tenant)
    async with scene.database.tenant(scene.tenant) as opened:
        await erasure.erase(opened, tenant_id=scene.tenant, user_id="U1", documents="delete")
    assert await scene.retriever.version(scene.tenant) > before
    assert (await scene.ask()).standby == "behind"


@pytest.mark.parametrize("place", ["embedder", "reranker"])
async def test_a_standby_that_crashes_during_a_search_loses_nothing(
    scene: Scene, replicas: Replicas, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(session, "SURELY_ALIVE", 0.0)  # The clock of the test jumps, and that of the pool does not.
    assert (await scene.ask()).standby == "used"
    (scene.embedder if place == "embedder" else scene.reranker).before = replicas.crash
    found = await scene.search("Which animals live in the jungle?", Scope(scene.tenant))
    assert (found.standby, sources(found)[0]) == ("away", "tigers.md")
    replicas.start()
    assert (await scene.ask()).standby == "away", "it is left alone for a while"
    scene.now += AWAY_SECONDS
    assert (await scene.ask()).standby == "away", "no search waits while it is asked again"
    await scene.until_used()


async def test_a_server_that_is_a_primary_itself_is_not_searched(scene: Scene, replicas: Replicas) -> None:
    async with opened_sessions(SecretStr(replicas.primary.url), scene.database) as sessions:
        assert sessions is not None
        search = StandbySearch(Retriever(sessions, scene.embedder, scene.reranker), sessions)
        found = await search(QUESTION, Scope(scene.tenant))
    assert (found.standby, sources(found)[0]) == ("promoted", "zebras.md")


@pytest.mark.parametrize("role", ["application", "superuser"])
async def test_row_level_security_holds_on_the_standby(scene: Scene, replicas: Replicas, role: str) -> None:
    address = replicas.url if role == "application" else replicas.admin_url
    everything = text("SELECT count(*), count(*) FILTER (WHERE tenant_id = :tenant) FROM chunks")
    async with opened_sessions(SecretStr(address), scene.database) as sessions:
        assert sessions is not None
        with sessions.on_standby(0):
            async with sessions(scene.tenant) as opened:
                own = (await opened.execute(everything, {"tenant": scene.tenant})).one()
            async with sessions("slack:another") as opened:
                of_another = (await opened.execute(everything, {"tenant": scene.tenant})).one()
    assert own[0] == own[1] > 0
    assert tuple(of_another) == (0, 0)


async def test_each_transaction_of_a_search_checks_the_version(scene: Scene) -> None:
    with scene.sessions.on_standby(10**9), pytest.raises(StandbyUnfit):
        async with scene.sessions(scene.tenant):
            pass
