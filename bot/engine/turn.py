"""The engine: one mention, from the stored question to the stored answer. ``handle`` is the list of its steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from bot.config import Settings
from bot.engine import after, budget, endings, finding, hold, memory, route, words, writing
from bot.engine.gate import urls_in
from bot.engine.means import Means
from bot.engine.ports import LLM, Classifier, Clock, Search, Store, Surface
from bot.engine.routing.local import LocalClassifier
from bot.engine.run import Run
from bot.engine.stream import Display
from bot.errors import LeaseLost, ParleyError, Refused
from bot.types import ChannelSettings, History, Outcome, Turn
from knowledge.errors import KnowledgeError
from knowledge.types import Scope

log = logging.getLogger(__name__)


def _never() -> bool:
    return False


async def _pause() -> None:
    await asyncio.sleep(0.25)


class Engine:
    """Answers turns. Holds no state of its own: everything that must outlive a crash is in the store."""

    def __init__(
        self,
        *,
        store: Store,
        search: Search,
        llm: LLM,
        settings: Settings,
        count_tokens: Callable[[str], int],
        classifier: Classifier | None = None,
        clock: Clock = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        judge = classifier or LocalClassifier(settings.strong_share)
        self._means = Means(store, search, llm, settings, count_tokens, judge, clock, monotonic)

    async def handle(
        self,
        turn: Turn,
        surface: Surface,
        *,
        stopped: Callable[[], bool] = _never,
        turned_away: Callable[[], Awaitable[None]] = _pause,
    ) -> Outcome:
        """Answer the turn on the surface. Cancelled: ``stopped`` tells a person's stop from a shutdown.

        ``turned_away`` is awaited between two tries for the lease of a thread that is busy.

        Raises LeaseLost where the turn has ended or another process took it; CancelledError at a shutdown, the turn
        being handed back. Every other ending is in the outcome.
        """
        means = self._means
        scope = Scope.of_channel(turn.thread.tenant_id, turn.thread.channel_id)
        run = Run(turn, await hold.lease(means.store, turn, turned_away), means.monotonic(), scope)
        async with self._display(run, surface) as display, hold.heartbeat(means.store, run):
            try:
                await display.open(words.SEARCHING)
                run.state = "cancelled" if stopped() else "done"
                if run.state == "done":
                    await self._answer(run, display)
            except asyncio.CancelledError:
                if run.lost or not stopped():
                    await endings.give_up(means, run, display)
                    raise
                run.state = "cancelled"
                run.resolve()
            except LeaseLost:
                await endings.give_up(means, run, display)
                raise
            except Refused as refusal:
                run.refuse(str(refusal))
            except (ParleyError, KnowledgeError) as error:
                run.fail(str(error))
            except Exception:
                log.exception("turn %s failed", turn.id)
                run.fail("Something broke while answering; the operator finds it in the log")
            return await hold.whole(endings.finish(means, run, display))

    async def reflect(self, turn: Turn) -> None:
        """After the answer: what the thread should remember of it."""
        await after.reflect(self._means, turn)

    # --- the steps of an answer

    async def _answer(self, run: Run, display: Display) -> None:
        means = self._means
        settings = await means.store.settings(run.turn.thread)
        history = await means.store.history(run.turn)
        run.query = memory.standalone(run.turn.question, history.messages)
        await self._choose_route(run, settings, history)
        if await finding.from_cache(means, run, settings, history):
            return
        await finding.retrieve(means, run)
        await writing.write(means, run, display, settings, history)
        run.resolve()

    async def _choose_route(self, run: Run, settings: ChannelSettings, history: History) -> None:
        turn, means = run.turn, self._means
        run.budgets = await means.store.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
        run.route = await route.choose(
            turn.question,
            query=run.query,
            wish=turn.wish,
            channel=settings,
            budget=budget.pressing(run.budgets),
            last=history.tier,
            model=means.llm.model,
            classifier=means.classifier,
            meter=run.meter,
            fixed=means.settings.fixed_tier,
        )

    def _display(self, run: Run, surface: Surface) -> Display:
        async def record(index: int, ref: str | None) -> None:
            await self._means.store.record_part(run.turn, run.lease, index, ref)

        return Display(
            surface,
            turn_id=run.turn.id,
            record=record,
            parts=run.turn.parts,
            allowed=lambda: urls_in(run.turn.question, *(passage.text for passage in run.passages)),
        )
