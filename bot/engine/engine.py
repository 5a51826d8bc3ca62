"""The engine: answers one turn, from the stored question to the stored answer. ``_answer`` is the list of its steps."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from bot.config import Settings
from bot.engine import user_messages
from bot.engine.aio import alongside
from bot.engine.answer import (
    allowed_links,
    cached,
    finish,
    generation,
    late_reply,
    memory,
    question_context,
    reservation,
    retrieval,
    scope,
    summarize,
    transcripts,
    verified,
)
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.citations import Resolved
from bot.engine.answer.context import Context
from bot.engine.answer.final_reply import stronger_model
from bot.engine.answer.lease import take_lease
from bot.engine.answer.model_choice import choose_route
from bot.engine.answer.poison import is_poison
from bot.engine.answer.query import initial_query
from bot.engine.answer.results import Ending, Results, resolved
from bot.engine.answer.second_search import search_again
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.stream import Display
from bot.engine.display.workspace_pacing import WorkspacePacing
from bot.engine.ports.answer_cache import SimilarAnswers
from bot.engine.ports.attachment_reader import AttachmentReader
from bot.engine.ports.classifier import Classifier
from bot.engine.ports.clock import Clock
from bot.engine.ports.llm import LLM
from bot.engine.ports.memory import Memory
from bot.engine.ports.rewriter import Rewriter
from bot.engine.ports.search import Search
from bot.engine.ports.search_planner import SearchPlanner
from bot.engine.ports.stores import Stores
from bot.engine.ports.summarizer import Summarizer
from bot.engine.ports.surface import Surface
from bot.engine.ports.telemetry import NoTelemetry, Telemetry
from bot.engine.ports.verified_answers import VerifiedAnswers
from bot.engine.routing.local_classifier import LocalClassifier
from bot.errors import LeaseLost, ParleyError, Refused, StoreAway
from bot.types.conversation import Incoming, StoredAttachment
from bot.types.display import Activity
from bot.types.settings import ChannelSettings
from bot.types.turns import LateReply, Outcome, Turn, TurnRecord
from knowledge import refusal_counts
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


def _never() -> bool:
    return False


async def _pause() -> None:
    await asyncio.sleep(0.25)


class Engine:
    """Answers turns.

    The stores keep all state that a crash must not lose; the engine itself keeps only the edit pacing.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        search: Search,
        llm: LLM,
        settings: Settings,
        count_tokens: Callable[[str], int],
        classifier: Classifier | None = None,
        memory: Memory | None = None,
        rewriter: Rewriter | None = None,
        planner: SearchPlanner | None = None,
        similar: SimilarAnswers | None = None,
        verified: VerifiedAnswers | None = None,
        reader: AttachmentReader | None = None,
        summarizer: Summarizer | None = None,
        workspace_pacing: WorkspacePacing | None = None,
        telemetry: Telemetry | None = None,
        free: bool = False,
        clock: Clock = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workspace_pacing = workspace_pacing or WorkspacePacing()
        self._context = Context(
            stores,
            search,
            llm,
            settings,
            count_tokens,
            classifier or LocalClassifier(settings.strong_share),
            clock,
            monotonic,
            memory,
            rewriter,
            similar,
            reader,
            summarizer,
            free,
            telemetry=telemetry or NoTelemetry(),
            verified=verified,
            planner=planner,
        )

    async def handle(
        self,
        turn: Turn,
        surface: Surface,
        *,
        stopped: Callable[[], bool] = _never,
        turned_away: Callable[[], Awaitable[None]] = _pause,
        doubt: asyncio.Event | None = None,
        waited_ms: Callable[[], Mapping[str, float]] = dict,
    ) -> Outcome:
        """Answer the turn on the surface.

        If the task is cancelled, ``stopped`` distinguishes a user's stop from a shutdown.

        ``turned_away`` is awaited between two attempts to lease a turn whose thread is busy. ``doubt`` is set when this
        process may have lost the turn because its question was edited or deleted. ``waited_ms`` is called once the turn
        is leased; it returns how long accepting it and waiting took, in milliseconds.

        Raises LeaseLost if the turn has ended or another process took it; CancelledError at a shutdown, after queueing
        the turn again; StoreAway if the database remains unavailable, which leaves the turn for later. The outcome
        describes every other ending.
        """
        context = self._context
        turn, lease = await take_lease(context.stores, turn, turned_away)
        attempt, results = Attempt.begin(context, turn, lease), Results()
        outcome: Outcome | None = None
        attempt.journal.timings_ms |= waited_ms()
        context.telemetry.turn_began(turn)
        try:
            async with (
                self._display(attempt, results, surface) as display,
                attempt.lease.heartbeat(doubt or asyncio.Event()),
            ):
                outcome = await self._run_to_end(attempt, results, display, surface, stopped)
            await cached.index(context, turn, results.lookup, outcome)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if outcome is None or not stopped() or current is None:
                raise
            current.uncancel()  # The answer was already complete when it was stopped.
        finally:
            context.telemetry.turn_ended(turn, outcome)
        return outcome

    async def show_late(self, reply: LateReply, surface: Surface, *, doubt: asyncio.Event) -> bool:
        """Show a stored reply whose platform was away, and return whether that is settled.

        ``doubt`` is set when the question may have been edited or deleted. Raises StoreAway; CancelledError at a
        shutdown.
        """
        context = self._context
        return await late_reply.show(
            context.stores,
            reply,
            surface,
            strong_model=stronger_model(context.llm),
            pacing=self.pace(reply.turn, surface),
            monotonic=context.monotonic,
            doubt=doubt,
        )

    async def reflect(self, turn: Turn) -> None:
        """Update the thread's memory after the answer."""
        await memory.learn(self._context, turn)
        await summarize.summarize(self._context, turn)

    def pace(self, turn: Turn, surface: Surface) -> SharedPacing:
        """Return the pacing that all replies in the turn's workspace share."""
        thread = turn.thread
        return self._workspace_pacing.of(thread.tenant_id, thread.platform, surface.limits.edits_per_minute)

    async def is_confident(self, incoming: Incoming, settings: ChannelSettings) -> bool:
        """Return whether the documents certainly answer the message. Asks no model; raises knowledge errors."""
        readable = scope.scope_of(incoming.thread, incoming.audience, settings)
        found = await self._context.search(incoming.text, readable, k=self._context.settings.passages)
        return retrieval.is_confident(found)

    # --- the steps of an answer

    async def _answer(self, attempt: Attempt, results: Results, display: Display, surface: Surface) -> Resolved:
        """Answer the turn. The placeholder is posted while the prompt's material is gathered."""
        searching = display.open(user_messages.SEARCHING)
        material = await alongside(searching, self._gather(attempt, results, surface))
        if material is None:
            return verified.stored_answer(attempt, results)
        material = await search_again(self._context, attempt, material, display)
        results.evidence = material.evidence
        display.activity.show(Activity(user_messages.is_reading(len(material.evidence.passages))))
        await generation.generate(self._context, attempt, material, display)
        attempt.journal.notes.extend(material.evidence.notes)
        if attempt.journal.outage:  # Once a model answers again, its answer is better than these quotes.
            results.lookup = cached.CacheLookup()
        return resolved(attempt, results)

    async def _gather(self, attempt: Attempt, results: Results, surface: Surface) -> generation.Material | None:
        """Gather the material for the prompt; None if a verified or cached answer is used."""
        context, turn = self._context, attempt.turn
        record = await self._load(turn)
        await reservation.begin(context, attempt, record)
        results.query = query = initial_query(turn, record)
        if (messages := transcripts.wanted(attempt, record)) is not None:
            return await self._gather_messages(attempt, results, surface, record, messages)
        attached = await question_context.read(context, attempt, surface, record, query.expanded)
        results.query = query = await memory.understand_statement(context, attempt, query, attached)
        results.verified = await verified.look_up(context, attempt, query, record, attached)
        if results.verified is not None:
            scope.explain(attempt, record, tenant_wide=query.tenant_wide)
            return None
        results.route = route = await choose_route(context, attempt, query, record)
        results.lookup = lookup = await cached.look_up(context, attempt, query, route, record, attached)
        if lookup.hit is not None:
            scope.explain(attempt, record, tenant_wide=query.tenant_wide)
            return None
        reservation.check(context, attempt)
        query = query.with_found(lookup.found)
        evidence, recalled = await asyncio.gather(
            retrieval.retrieve(context, attempt, query, attached, record.history),
            memory.recall(context, attempt, query, record.history),
        )
        if evidence.found is not None:
            scope.explain(attempt, record, tenant_wide=query.tenant_wide)
        results.evidence = evidence
        return generation.material(context, evidence, record, route, attached, recalled)

    async def _gather_messages(
        self, attempt: Attempt, results: Results, surface: Surface, record: TurnRecord, messages: StoredAttachment
    ) -> generation.Material:
        """Gather the messages that the question asks to summarize, in place of documents."""
        results.query = query = replace(initial_query(attempt.turn, record), earlier=())
        results.route = route = await choose_route(self._context, attempt, query, record)
        reservation.check(self._context, attempt)
        results.evidence = evidence = await transcripts.evidence(self._context, attempt, surface, messages, query)
        return generation.material(self._context, evidence, record, route)

    async def _load(self, turn: Turn) -> TurnRecord:
        """Load everything stored about the turn. Raises Refused if an admin has paused the bot."""
        record = await self._context.stores.conversation.turn_record(turn)
        if record.settings.paused is not None:
            raise Refused(record.settings.paused)
        if turn.audience.given(record.settings.external).tenant_wide:
            return record
        return replace(record, history=record.history.for_anyone())

    # --- how an answer ends

    async def _run_to_end(
        self, attempt: Attempt, results: Results, display: Display, surface: Surface, stopped: Callable[[], bool]
    ) -> Outcome:
        """Answer the turn, then show and store the result.

        Raises the errors of ``handle``, which leave the turn to others.
        """
        context, turn = self._context, attempt.turn
        try:
            if is_poison(attempt.lease.lease.takeovers):
                raise Refused(user_messages.GIVEN_UP)
            if stopped() or attempt.lease.lease.stopping:
                ending = Ending("cancelled")
            else:
                ending = Ending("done", await self._answer(attempt, results, display, surface))
        except asyncio.CancelledError:
            if attempt.lease.lost or not (stopped() or surface.limits.ends_with_process):
                await finish.hand_over(context, attempt, display)
                raise
            ending = Ending("cancelled", resolved(attempt, results))
        except LeaseLost:
            attempt.lease.lost = True
            await finish.hand_over(context, attempt, display)
            raise
        except StoreAway as away:
            log.warning("turn %s waits for the database: %s", turn.id, away.detail)
            await finish.hand_over(context, attempt, display, user_messages.STORE_AWAY)
            raise
        except Refused as refusal:
            ending = Ending("refused", reason=str(refusal))
        except (ParleyError, KnowledgeError) as error:
            ending = Ending("failed", reason=str(error))
        except Exception:
            log.exception("turn %s failed", turn.id)
            ending = Ending("failed", reason=user_messages.BROKEN)
        if allowed_links.has_other_links(attempt, results):
            refusal_counts.count("link", turn.thread.tenant_id)
        here_only = surface.limits.here_only
        return await finish.finish_or_fail(
            context, attempt, results, ending, display, here_only=here_only, stopped=stopped
        )

    def _display(self, attempt: Attempt, results: Results, surface: Surface) -> Display:
        turn, lease = attempt.turn, attempt.lease

        async def record(index: int, ref: str | None, *, replaced: str | None = None) -> str | None:
            if lease.lease.announced and index == 0 and ref is None:
                return None
            return await self._context.stores.leases.record_part(turn, lease.lease, index, ref, replaced=replaced)

        return Display(
            surface,
            turn_id=turn.id,
            record=record,
            parts=turn.parts,
            recorded=turn.recorded,
            confirm=lease.confirm,
            shared=self.pace(turn, surface),
            allowed=partial(allowed_links.allowed, attempt, results),
        )
