"""The engine: one mention, from the stored question to the stored answer. ``handle`` is the list of its steps."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TypeVar

from bot.config import Settings
from bot.engine import budget, cache, memory, prefix, prompt, route, words
from bot.engine.citations import renumber
from bot.engine.evidence import shares_words
from bot.engine.gate import urls_in
from bot.engine.ports import (
    LLM,
    Classifier,
    Clock,
    Ended,
    Event,
    Prompt,
    Restarted,
    Search,
    Store,
    Surface,
    TextDelta,
)
from bot.engine.routing.local import LocalClassifier
from bot.engine.run import Run, cache_key_of
from bot.engine.stream import Display
from bot.errors import ContextTooLong, LeaseLost, LLMError, MessageGone, OverBudget, ParleyError, Refused, SurfaceError
from bot.types import Action, ChannelSettings, History, Lease, Outcome, Turn
from knowledge.errors import KnowledgeError
from knowledge.types import Found, Scope

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PASSAGE_SHARE = 3000 / 8000
HISTORY_SHARE = 2500 / 8000
WEAK_EVIDENCE = 0.1
"""Passages less likely than this to hold the answer, and without a word of the question, are not shown to the model."""
HEARTBEAT = 8.0
LAST_WORD = 2.0
"""Seconds for telling, at a shutdown, that the answer goes on later."""
AFTER_ANSWER: tuple[Action, ...] = ("again", "strong", "up", "down", "why")
AFTER_FAILURE: tuple[Action, ...] = ("again", "why")


def _is_weak(query: str, found: Found) -> bool:
    """Neither meaning nor words speak for any passage."""
    unlikely = found.confidence < WEAK_EVIDENCE
    return unlikely and not any(shares_words(query, f"{one.place} {one.text}") for one in found.passages)


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
        self._store = store
        self._search = search
        self._llm = llm
        self._settings = settings
        self._count = count_tokens
        self._classifier = classifier or LocalClassifier(settings.strong_share)
        self._clock = clock
        self._monotonic = monotonic

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
        scope = Scope.of_channel(turn.thread.tenant_id, turn.thread.channel_id)
        run = Run(turn, await self._lease(turn, turned_away), self._monotonic(), scope)
        async with self._display(run, surface) as display, self._heartbeat(run):
            try:
                await display.open(words.SEARCHING)
                run.state = "cancelled" if stopped() else "done"
                if run.state == "done":
                    await self._answer(run, display)
            except asyncio.CancelledError:
                if run.lost or not stopped():
                    await self._give_up(run, display)
                    raise
                run.state = "cancelled"
                run.resolve()
            except LeaseLost:
                await self._give_up(run, display)
                raise
            except Refused as refusal:
                run.refuse(str(refusal))
            except (ParleyError, KnowledgeError) as error:
                run.fail(str(error))
            except Exception:
                log.exception("turn %s failed", turn.id)
                run.fail("Something broke while answering; the operator finds it in the log")
            return await _whole(self._finish(run, display))

    async def reflect(self, turn: Turn) -> None:
        """After the answer: append what has outgrown the history's budget to the thread's summary."""
        history = await self._store.history(turn)
        due = memory.to_summarise(history, self._share(HISTORY_SHARE))
        if not due:
            return
        request = prompt.summary(due, history.summary, max_tokens=memory.SUMMARY_TOKENS, cache_key=cache_key_of(turn))
        run = Run(turn, Lease(turn.id, 0), self._monotonic(), Scope(turn.thread.tenant_id))
        try:
            run.reservation = await self._store.reserve(turn, prompt.size(request, self._count) + request.max_tokens)
            text = await self._whole_text(request, run)
            if text:
                await self._store.summarise(turn, since=history.summary_upto, summary=text, upto=due[-1].seq)
        except (OverBudget, LLMError) as error:
            log.info("thread of turn %s not summarised: %s", turn.id, error)
        finally:
            await _whole(self._store.bill(turn, run.calls, run.reservation))

    async def _whole_text(self, request: Prompt, run: Run) -> str:
        text = ""
        async with _closing(self._llm.stream(request, meter=run.meter)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text += event.text
                elif isinstance(event, Restarted):
                    text = ""
        return text.strip()

    # --- the steps of an answer

    async def _answer(self, run: Run, display: Display) -> None:
        settings = await self._store.settings(run.turn.thread)
        history = await self._store.history(run.turn)
        run.query = memory.standalone(run.turn.question, history.messages)
        await self._choose_route(run, settings, history)
        if await self._from_cache(run, settings, history):
            return
        await self._retrieve(run)
        await self._write(run, display, settings, history)
        run.resolve()

    async def _choose_route(self, run: Run, settings: ChannelSettings, history: History) -> None:
        turn = run.turn
        run.budgets = await self._store.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
        run.route = await route.choose(
            turn.question,
            query=run.query,
            wish=turn.wish,
            channel=settings,
            budget=budget.pressing(run.budgets),
            last=history.tier,
            model=self._llm.model,
            classifier=self._classifier,
            meter=run.meter,
            fixed=self._settings.fixed_tier,
        )

    async def _from_cache(self, run: Run, settings: ChannelSettings, history: History) -> bool:
        """Only a question that opens a thread is looked up: later ones may mean something else."""
        if history.messages or history.summary or not run.route or not self._settings.answer_cache_hours:
            return False
        run.cache_key = cache.key(
            run.turn.question,
            scope=run.scope,
            knowledge_version=await self._search.version(run.scope.tenant_id),
            prompt_version=prompt.VERSION,
            model=run.route.model,
            persona=settings.persona,
        )
        if run.turn.fresh:
            return False
        known = await self._store.cached(run.scope.tenant_id, run.cache_key)
        if known is None:
            return False
        run.answer, run.citations, run.cached_from = known.answer, known.citations, known.turn_id
        run.notes.append(words.FROM_CACHE)
        return True

    async def _retrieve(self, run: Run) -> None:
        start = self._monotonic()
        try:
            run.found = await self._search(run.query, run.scope, k=self._settings.passages)
            if not _is_weak(run.query, run.found):
                run.passages = prompt.fitting(run.found.passages, self._share(PASSAGE_SHARE), self._count)
        except KnowledgeError as error:
            log.warning("turn %s: search failed: %s", run.turn.id, error)
            run.notes.append(words.NO_KNOWLEDGE)
        run.timings_ms["search"] = self._since(start)

    async def _write(self, run: Run, display: Display, settings: ChannelSettings, history: History) -> None:
        """Reserve and stream; a prompt that proves too long is halved, an empty answer asked for again, once each."""
        share, empty = 1.0, False
        while True:
            request = self._prompt(run, settings, history, share)
            request = await self._reserve(run, request)
            try:
                ended = await self._stream(run, display, request)
            except ContextTooLong:
                if share < 1.0:
                    raise
                share = 0.5
                run.restarts.append("the prompt was too long for the model and was halved")
                continue
            if run.draft.strip() or ended.reason == "refused" or empty:
                break
            empty = True
            run.restarts.append("the model returned nothing")
        if ended.reason == "cut":
            run.notes.append(words.CUT)
        if ended.reason == "refused":
            run.notes.append(words.DECLINED)
        if not run.draft.strip():
            raise Refused(words.DECLINED if ended.reason == "refused" else words.NO_ANSWER)

    def _prompt(self, run: Run, settings: ChannelSettings, history: History, share: float) -> Prompt:
        assert run.route is not None
        past = memory.select(history, int(share * self._share(HISTORY_SHARE)), self._count)
        run.left_out = past.left_out
        if share < 1.0:
            run.passages = prompt.fitting(run.passages, int(share * self._share(PASSAGE_SHARE)), self._count)
        return prompt.build(
            question=run.turn.question,
            searched=run.query,
            author=run.turn.author.name,
            past=past,
            passages=run.passages,
            tier=run.route.tier,
            max_tokens=self._settings.answer_tokens,
            persona=settings.persona,
            cache_key=cache_key_of(run.turn),
            life=prefix.life(prefix.pauses(history, run.turn.created_at)),
        )

    async def _reserve(self, run: Run, request: Prompt) -> Prompt:
        """Set aside what the prompt and its answer may take; a shorter answer where little is left of the day."""
        if run.reservation:
            return prompt.shortened(request, run.answer_tokens)
        turn, run.prompt_tokens = run.turn, prompt.size(request, self._count)
        run.budgets = await self._store.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
        try:
            spent_before = sum(call.usage.total_tokens for call in run.calls)
            if budget.is_close(run.budgets, run.prompt_tokens + spent_before, request.max_tokens):
                run.prompt_tokens = await self._llm.count(request) or run.prompt_tokens
            need = run.prompt_tokens + spent_before
            run.answer_tokens = budget.answer_tokens(run.budgets, need, request.max_tokens)
            run.reservation = await self._store.reserve(turn, need + run.answer_tokens)
        except OverBudget as spent:
            raise Refused(words.over_budget(spent, self._clock())) from None
        return prompt.shortened(request, run.answer_tokens)

    async def _stream(self, run: Run, display: Display, request: Prompt) -> Ended:
        """Show the text as it comes. Raises LLMError where the stream ends without its terminal event."""
        run.draft = ""
        async with _closing(self._llm.stream(request, meter=run.meter)) as events:
            async for event in events:
                if isinstance(event, Ended):
                    return event
                if isinstance(event, Restarted):
                    run.draft = ""
                    run.restarts.append(event.reason)
                    continue
                if "ttft" not in run.timings_ms:
                    run.timings_ms["ttft"] = self._since(run.started)
                run.draft += event.text
                display.show(lambda: renumber(run.draft, len(run.passages)))
        raise LLMError("The model's answer broke off before its end; ask again.")

    # --- endings

    async def _finish(self, run: Run, display: Display) -> Outcome:
        """Show the last word, then store it with everything it cost."""
        self._warn_of_budget(run)
        shown = run.answer
        if run.refused is not None:
            shown = run.refused if run.state == "refused" else words.failed(run.refused, run.turn.id)
        elif run.state == "cancelled":
            shown = f"{run.answer}\n\n{words.STOPPED}".strip()
        try:
            await display.close(
                shown,
                sources=run.citations,
                notes=tuple(run.notes),
                actions=AFTER_ANSWER if run.state == "done" else AFTER_FAILURE,
            )
        except LeaseLost:
            await self._store.bill(run.turn, run.calls, run.reservation)
            raise
        except (MessageGone, SurfaceError) as error:
            log.warning("turn %s cannot be shown: %s", run.turn.id, error)
            run.notes.append(f"Not shown: {error}")
        run.timings_ms["total"] = self._since(run.started)
        outcome = run.outcome()
        await self._store.finish(run.turn, run.lease, outcome, reservation=run.reservation, cache_key=run.cache_key)
        return outcome

    def _warn_of_budget(self, run: Run) -> None:
        if run.reservation is None:
            return
        spent = sum(call.usage.total_tokens for call in run.calls)
        for state in budget.crossed(run.budgets, spent):
            run.notes.append(words.budget_warning(state, self._clock()))

    async def _give_up(self, run: Run, display: Display) -> None:
        """Leave the turn to another process: what was spent is settled, nothing is marked as answered."""
        await display.abandon()
        if not run.lost:
            with contextlib.suppress(ParleyError, TimeoutError):
                async with asyncio.timeout(LAST_WORD):
                    await display.close(words.INTERRUPTED)
        try:
            if run.lost:
                await _whole(self._store.bill(run.turn, run.calls, run.reservation))
            else:
                await _whole(self._store.hand_back(run.turn, run.lease, run.calls, reservation=run.reservation))
        except LeaseLost:
            await _whole(self._store.bill(run.turn, run.calls, run.reservation))

    # --- lease and display

    async def _lease(self, turn: Turn, turned_away: Callable[[], Awaitable[None]]) -> Lease:
        while (lease := await self._store.lease(turn)) is None:
            await turned_away()
        return lease

    @asynccontextmanager
    async def _heartbeat(self, run: Run) -> AsyncIterator[None]:
        """Keep the lease while the body runs; cancel the body once it is lost."""
        body = asyncio.current_task()
        assert body is not None

        async def beat() -> None:
            while True:
                await asyncio.sleep(HEARTBEAT)
                try:
                    await self._store.renew(run.turn, run.lease)
                except LeaseLost:
                    run.lost = True
                    body.cancel()
                    return
                except Exception as error:
                    log.warning("lease of turn %s not renewed: %s", run.turn.id, error)

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _display(self, run: Run, surface: Surface) -> Display:
        async def record(index: int, ref: str | None) -> None:
            await self._store.record_part(run.turn, run.lease, index, ref)

        return Display(
            surface,
            turn_id=run.turn.id,
            record=record,
            parts=run.turn.parts,
            allowed=lambda: urls_in(run.turn.question, *(passage.text for passage in run.passages)),
        )

    def _share(self, share: float) -> int:
        return int(self._settings.prompt_tokens * share)

    def _since(self, start: float) -> float:
        return round(1000 * (self._monotonic() - start), 2)


@asynccontextmanager
async def _closing(events: AsyncIterator[Event]) -> AsyncIterator[AsyncIterator[Event]]:
    """Close the stream with the body, so that the provider stops at once."""
    try:
        yield events
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _whole(work: Awaitable[Result]) -> Result:
    """Let ``work`` come to its end even where the task is cancelled meanwhile: what it does must not stay half done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            current = asyncio.current_task()
            if current is not None:
                current.uncancel()
        except Exception:
            break
    return task.result()
