"""The engine: one mention, from the stored question to the stored answer. ``handle`` is the list of its steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from bot.config import Settings
from bot.engine import (
    after,
    budget,
    endings,
    finding,
    hold,
    overhearing,
    reading,
    recalling,
    reuse,
    route,
    setting_aside,
    words,
    writing,
)
from bot.engine.cache.port import NearAnswers
from bot.engine.gate import urls_in
from bot.engine.hold import meanwhile
from bot.engine.means import Means
from bot.engine.memory import standalone
from bot.engine.pace import Shared
from bot.engine.paces import Paces
from bot.engine.ports import LLM, Classifier, Clock, Memory, Reader, Rewriter, Search, Store, Summariser, Surface
from bot.engine.routing.local import LocalClassifier
from bot.engine.run import Run
from bot.engine.stream import Display
from bot.engine.suspicion import is_given_up
from bot.errors import LeaseLost, ParleyError, Refused, StoreAway
from bot.types import Brief, ChannelSettings, Incoming, Outcome, Turn
from knowledge.errors import KnowledgeError
from knowledge.types import Filter, Scope

log = logging.getLogger(__name__)


def _never() -> bool:
    return False


async def _pause() -> None:
    await asyncio.sleep(0.25)


class Engine:
    """Answers turns. Everything that must outlive a crash is in the store; the pace of edits alone is kept here."""

    def __init__(
        self,
        *,
        store: Store,
        search: Search,
        llm: LLM,
        settings: Settings,
        count_tokens: Callable[[str], int],
        classifier: Classifier | None = None,
        memory: Memory | None = None,
        rewriter: Rewriter | None = None,
        near: NearAnswers | None = None,
        reader: Reader | None = None,
        summariser: Summariser | None = None,
        paces: Paces | None = None,
        clock: Clock = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paces = paces or Paces()
        judge = classifier or LocalClassifier(settings.strong_share)
        self._means = Means(
            store,
            search,
            llm,
            settings,
            count_tokens,
            judge,
            clock,
            monotonic,
            memory,
            rewriter,
            near,
            reader,
            summariser,
        )

    async def handle(
        self,
        turn: Turn,
        surface: Surface,
        *,
        stopped: Callable[[], bool] = _never,
        turned_away: Callable[[], Awaitable[None]] = _pause,
        doubt: asyncio.Event | None = None,
    ) -> Outcome:
        """Answer the turn on the surface. Cancelled: ``stopped`` tells a person's stop from a shutdown.

        ``turned_away`` is awaited between two tries for the lease of a thread that is busy. ``doubt`` is set where the
        turn may have been taken from this process: its question was changed or deleted.

        Raises LeaseLost where the turn has ended or another process took it; CancelledError at a shutdown, the turn
        being handed back; StoreAway where the database stays away, the turn being left for when it answers again.
        Every other ending is in the outcome.
        """
        means = self._means
        scope = Scope.of_channel(turn.thread.tenant_id, turn.thread.channel_id)
        turn, lease = await hold.lease(means.store, turn, turned_away)
        run = means.run(turn, lease, scope)
        outcome: Outcome | None = None
        try:
            async with self._display(run, surface) as display, hold.heartbeat(means, run, doubt or asyncio.Event()):
                outcome = await self._to_its_end(run, display, surface, stopped)
            await reuse.keep(means, run)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if outcome is None or not stopped() or current is None:
                raise
            current.uncancel()  # the stop came when the answer stood already
        return outcome

    def pace(self, turn: Turn, surface: Surface) -> Shared:
        """That of all edits in the turn's workspace."""
        return self._paces.of(turn.thread.tenant_id, turn.thread.platform, surface.limits.edits_per_minute)

    async def surely(self, incoming: Incoming, settings: ChannelSettings) -> bool:
        """Whether the documents surely hold the answer; no model is asked. Raises knowledge errors."""
        scope = Scope.of_channel(incoming.thread.tenant_id, incoming.thread.channel_id)
        scope = scope.narrowed(Filter(sources=settings.sources))
        return overhearing.is_sure(await self._means.search(incoming.text, scope, k=self._means.settings.passages))

    async def reflect(self, turn: Turn) -> None:
        """After the answer: what the thread should remember of it."""
        await recalling.learn(self._means, turn)
        await after.reflect(self._means, turn)

    # --- the steps of an answer

    async def _to_its_end(self, run: Run, display: Display, surface: Surface, stopped: Callable[[], bool]) -> Outcome:
        """Answer, and store and show how that ended. Raises what leaves the turn to others: see ``handle``."""
        means, turn, lease = self._means, run.turn, run.lease
        try:
            if is_given_up(lease.takeovers):
                raise Refused(words.GIVEN_UP)
            run.state = "cancelled" if stopped() or lease.stopping else "done"
            if run.state == "done":
                await self._answer(run, display, surface)
        except asyncio.CancelledError:
            if run.lost or not stopped():
                await endings.give_up(means, run, display)
                raise
            run.state = "cancelled"
            run.resolve()
        except LeaseLost:
            run.lost = True
            await endings.give_up(means, run, display)
            raise
        except StoreAway as away:
            log.warning("turn %s waits for the database: %s", turn.id, away.detail)
            await endings.give_up(means, run, display, words.STORE_AWAY)
            raise
        except Refused as refusal:
            run.refuse(str(refusal))
        except (ParleyError, KnowledgeError) as error:
            run.fail(str(error))
        except Exception:
            log.exception("turn %s failed", turn.id)
            run.fail("Something broke while answering; the operator finds it in the log")
        return await hold.whole(endings.finish(means, run, display))

    async def _answer(self, run: Run, display: Display, surface: Surface) -> None:
        """The first message goes up while the answer is prepared; the model is asked once both are done."""
        brief = await meanwhile(display.open(words.SEARCHING), self._prepared(run, surface))
        if run.cached_from is None:
            await writing.write(self._means, run, display, brief.settings, brief.history)
            run.resolve()

    async def _prepared(self, run: Run, surface: Surface) -> Brief:
        means = self._means
        brief = await means.store.brief(run.turn)
        if brief.settings.paused is not None:
            raise Refused(brief.settings.paused)
        run.scope = run.scope.narrowed(Filter(sources=brief.settings.sources))
        run.query = standalone(run.turn.question, brief.history.messages)
        run.facts = brief.facts if means.memory else ()
        await setting_aside.begin(means, run, brief)
        await self._choose_route(run, brief)
        await reading.beside(means, run, surface, brief)
        if not await finding.from_cache(means, run, brief.settings, brief.history):
            setting_aside.check(means, run)
            await asyncio.gather(
                finding.retrieve(means, run, brief.history), recalling.remember(means, run, brief.history)
            )
        return brief

    async def _choose_route(self, run: Run, brief: Brief) -> None:
        turn, means = run.turn, self._means
        run.route = await route.choose(
            turn.question,
            query=run.query,
            wish=turn.wish,
            channel=brief.settings,
            budget=budget.pressing(run.budgets),
            last=brief.history.tier,
            model=means.llm.model,
            classifier=means.classifier if run.reservation else setting_aside.unrated,
            meter=run.meter,
            fixed=means.settings.fixed_tier,
        )

    def _display(self, run: Run, surface: Surface) -> Display:
        async def record(index: int, ref: str | None) -> str | None:
            if run.lease.announced and index == 0 and ref is None:
                return None
            return await self._means.store.record_part(run.turn, run.lease, index, ref)

        return Display(
            surface,
            turn_id=run.turn.id,
            record=record,
            parts=run.turn.parts,
            recorded=run.turn.recorded,
            confirm=partial(hold.confirm, self._means, run),
            shared=self.pace(run.turn, surface),
            allowed=lambda: urls_in(run.turn.question, *(passage.text for passage in run.passages)),
        )
