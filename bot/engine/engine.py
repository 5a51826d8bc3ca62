"""The engine: one mention, from the stored question to the stored answer. ``handle`` is the list of its steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from bot.config import Settings
from bot.engine import user_messages
from bot.engine.answer import attachments, budget, cached, finish, generation, reservation, retrieval, summarize
from bot.engine.answer import lease as hold
from bot.engine.answer import memory as recalling
from bot.engine.answer.context import Context
from bot.engine.answer.lease import meanwhile
from bot.engine.answer.poison import is_given_up
from bot.engine.answer.run import Run
from bot.engine.cache.near_answers import SimilarAnswers
from bot.engine.dispatch import auto_answer
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.output_filter import urls_in
from bot.engine.display.stream import Display
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.memory import standalone
from bot.engine.ports.attachment_reader import AttachmentReader
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.clock import Clock
from bot.engine.ports.llm import LLM
from bot.engine.ports.memory import Memory
from bot.engine.ports.rewriter import Rewriter
from bot.engine.ports.search import Search
from bot.engine.ports.store import Store
from bot.engine.ports.summarizer import Summarizer
from bot.engine.ports.surface import Surface
from bot.engine.routing import choice
from bot.engine.routing.local_classifier import LocalClassifier
from bot.errors import LeaseLost, ParleyError, Refused, StoreAway
from bot.types.conversation import Incoming
from bot.types.settings import ChannelSettings
from bot.types.turns import Outcome, Turn, TurnRecord
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
        near: SimilarAnswers | None = None,
        reader: AttachmentReader | None = None,
        summarizer: Summarizer | None = None,
        workspace_pacing: WorkspacePacing | None = None,
        clock: Clock = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace_pacing = workspace_pacing or WorkspacePacing()
        judge = classifier or LocalClassifier(settings.strong_share)
        self._context = Context(
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
            summarizer,
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
        context = self._context
        scope = Scope.of_channel(turn.thread.tenant_id, turn.thread.channel_id)
        turn, lease = await hold.lease(context.store, turn, turned_away)
        run = context.run(turn, lease, scope)
        outcome: Outcome | None = None
        try:
            async with self._display(run, surface) as display, hold.heartbeat(context, run, doubt or asyncio.Event()):
                outcome = await self._to_its_end(run, display, surface, stopped)
            await cached.keep(context, run)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if outcome is None or not stopped() or current is None:
                raise
            current.uncancel()  # the stop came when the answer stood already
        return outcome

    def pace(self, turn: Turn, surface: Surface) -> SharedPacing:
        """That of all edits in the turn's workspace."""
        return self._workspace_pacing.of(turn.thread.tenant_id, turn.thread.platform, surface.limits.edits_per_minute)

    async def is_confident(self, incoming: Incoming, settings: ChannelSettings) -> bool:
        """Whether the documents surely hold the answer; no model is asked. Raises knowledge errors."""
        scope = Scope.of_channel(incoming.thread.tenant_id, incoming.thread.channel_id)
        scope = scope.narrowed(Filter(sources=settings.sources))
        return auto_answer.is_sure(await self._context.search(incoming.text, scope, k=self._context.settings.passages))

    async def reflect(self, turn: Turn) -> None:
        """After the answer: what the thread should remember of it."""
        await recalling.learn(self._context, turn)
        await summarize.reflect(self._context, turn)

    # --- the steps of an answer

    async def _to_its_end(self, run: Run, display: Display, surface: Surface, stopped: Callable[[], bool]) -> Outcome:
        """Answer, and store and show how that ended. Raises what leaves the turn to others: see ``handle``."""
        context, turn, lease = self._context, run.turn, run.lease
        try:
            if is_given_up(lease.takeovers):
                raise Refused(user_messages.GIVEN_UP)
            run.state = "cancelled" if stopped() or lease.stopping else "done"
            if run.state == "done":
                await self._answer(run, display, surface)
        except asyncio.CancelledError:
            if run.lost or not stopped():
                await finish.give_up(context, run, display)
                raise
            run.state = "cancelled"
            run.resolve()
        except LeaseLost:
            run.lost = True
            await finish.give_up(context, run, display)
            raise
        except StoreAway as away:
            log.warning("turn %s waits for the database: %s", turn.id, away.detail)
            await finish.give_up(context, run, display, user_messages.STORE_AWAY)
            raise
        except Refused as refusal:
            run.refuse(str(refusal))
        except (ParleyError, KnowledgeError) as error:
            run.fail(str(error))
        except Exception:
            log.exception("turn %s failed", turn.id)
            run.fail("Something broke while answering; the operator finds it in the log")
        return await hold.whole(finish.finish(context, run, display))

    async def _answer(self, run: Run, display: Display, surface: Surface) -> None:
        """The first message goes up while the answer is prepared; the model is asked once both are done."""
        brief = await meanwhile(display.open(user_messages.SEARCHING), self._prepared(run, surface))
        if run.cached_from is None:
            await generation.write(self._context, run, display, brief.settings, brief.history)
            run.resolve()

    async def _prepared(self, run: Run, surface: Surface) -> TurnRecord:
        context = self._context
        brief = await context.store.brief(run.turn)
        if brief.settings.paused is not None:
            raise Refused(brief.settings.paused)
        run.scope = run.scope.narrowed(Filter(sources=brief.settings.sources))
        run.query = standalone(run.turn.question, brief.history.messages)
        run.facts = brief.facts if context.memory else ()
        await reservation.begin(context, run, brief)
        await self._choose_route(run, brief)
        await attachments.beside(context, run, surface, brief)
        if not await retrieval.from_cache(context, run, brief.settings, brief.history):
            reservation.check(context, run)
            await asyncio.gather(
                retrieval.retrieve(context, run, brief.history), recalling.remember(context, run, brief.history)
            )
        return brief

    async def _choose_route(self, run: Run, brief: TurnRecord) -> None:
        turn, context = run.turn, self._context
        run.route = await choice.choose(
            turn.question,
            query=run.query,
            wish=turn.wish,
            channel=brief.settings,
            budget=budget.pressing(run.budgets),
            last=brief.history.tier,
            model=context.llm.model,
            classifier=context.classifier if run.reservation else reservation.unrated,
            meter=run.meter,
            fixed=context.settings.fixed_tier,
        )

    def _display(self, run: Run, surface: Surface) -> Display:
        async def record(index: int, ref: str | None) -> str | None:
            if run.lease.announced and index == 0 and ref is None:
                return None
            return await self._context.store.record_part(run.turn, run.lease, index, ref)

        return Display(
            surface,
            turn_id=run.turn.id,
            record=record,
            parts=run.turn.parts,
            recorded=run.turn.recorded,
            confirm=partial(hold.confirm, self._context, run),
            shared=self.pace(run.turn, surface),
            allowed=lambda: urls_in(run.turn.question, *(passage.text for passage in run.passages)),
        )
