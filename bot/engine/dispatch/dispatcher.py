"""The dispatcher: accepts messages as turns, starts and stops them, and answers platforms' questions about them.

Platforms use the engine only through the dispatcher. They call ``accept`` before they acknowledge an event and
``start`` afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.engine import user_messages
from bot.engine.dispatch.auto_answer import AutoAnswer
from bot.engine.dispatch.permissions import may_act
from bot.engine.dispatch.question_checks import checked, with_storable_texts
from bot.engine.dispatch.running_turn import SurfaceFor
from bot.engine.dispatch.turn_runner import TurnRunner
from bot.engine.engine import Engine
from bot.engine.ports.clock import Clock
from bot.engine.ports.stores import Stores
from bot.engine.ports.surface import Surface
from bot.errors import NotAllowed, ParleyError, StoreAway, UsageError, for_operator
from bot.types.audience import Audience
from bot.types.conversation import Author, Incoming, Platform, ThreadKey
from bot.types.turns import Notice, Outcome, Turn
from bot.types.usage import Tier
from knowledge.errors import KnowledgeError
from knowledge.text.storable_text import storable

__all__ = ["Dispatcher", "SurfaceFor"]

log = logging.getLogger(__name__)

ACCEPT_SECONDS = 2.4
"""Timeout of an acceptance. Slack waits 3 s for the acknowledgement that follows it."""
TOO_SLOW = f"The database took longer than {ACCEPT_SECONDS} s to store a message. Check its load."
MAX_TURNS = 64
GRACE_SECONDS = 6.0


class Dispatcher:
    """Accepts messages and controls their turns.

    ``max_turns`` bounds the turns that run at once in this process. ``grace`` is the number of seconds that they have
    to end when it closes.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        stores: Stores,
        max_question_chars: int,
        clock: Clock = lambda: datetime.now(UTC),
        max_turns: int = MAX_TURNS,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._stores = stores
        self._max_chars = max_question_chars
        self._grace = grace
        self._clock = clock
        self._runner = TurnRunner(engine, stores, max_turns)
        self._auto_answer = AutoAnswer(stores, engine.is_confident)

    # --- accepting

    async def accept(self, incoming: Incoming) -> Turn | None:
        """Store the message and its turn. Return None if it was accepted before.

        Raises UsageError (empty, too long), NotAllowed (a direct message by an outsider), PlatformAway (a direct
        message, while the platform does not say whether its author is a member: deliver it again), and StoreAway if
        the database does not answer in time.
        """
        start = time.monotonic()
        incoming = checked(incoming, self._max_chars)
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                turn = await self._stores.inbox.accept(incoming)
        except TimeoutError:
            raise StoreAway(TOO_SLOW) from None
        if turn is not None:
            self._runner.expect(turn, 1000 * (time.monotonic() - start))
        return turn

    async def considers(self, thread: ThreadKey) -> bool:
        """Return whether ``accept_unmentioned`` may accept a message there now. Failures are only logged."""
        try:
            return await self._auto_answer.considers(thread)
        except ParleyError as error:
            log.warning("a message without a mention was ignored: %s", for_operator(error))
            return False

    async def accept_unmentioned(self, incoming: Incoming) -> Turn | None:
        """Accept a message without a mention if its channel allows that and the documents certainly contain the answer.

        Return the turn to start. If it returns None, nothing was stored. Call it after the acknowledgment, because it
        runs a search. Failures are only logged.
        """
        incoming = with_storable_texts(incoming)
        try:
            return await self.accept(incoming) if await self._auto_answer.wants(incoming) else None
        except (ParleyError, KnowledgeError) as error:
            log.warning("a message without a mention was ignored: %s", for_operator(error))
            return None

    async def note_command(self, thread: ThreadKey, message_id: str) -> bool:
        """Record a message that is a command. Return False if any process recorded it before. Raises StoreAway."""
        try:
            async with asyncio.timeout(ACCEPT_SECONDS):
                return await self._stores.inbox.note_command(thread, message_id)
        except TimeoutError:
            raise StoreAway(TOO_SLOW) from None

    async def edited(self, incoming: Incoming) -> Turn | None:
        """Handle an edited message.

        Return its turn, which must be started, if the question has changed; otherwise None.

        The new answer replaces the text of the first one, in the same messages. A message that was not a question
        before is accepted as a new one. Raises the same errors as ``accept``.
        """
        inbox, turn = self._stores.inbox, None
        known = await inbox.turns_of(incoming.thread, incoming.message_id)
        if not known and (turn := await self.accept(incoming)) is None:
            # Another delivery stored the question meanwhile, as it was before the edit.
            known = await inbox.turns_of(incoming.thread, incoming.message_id)
        if not known:
            return turn
        start = time.monotonic()
        incoming = checked(incoming, self._max_chars)
        turn = await inbox.replace_question(known[0], incoming.text, incoming.audience, incoming.edited_at)
        if turn is not None:
            self._runner.lose(turn.id)
            self._runner.expect(turn, 1000 * (time.monotonic() - start))
        return turn

    async def change(self, turn_id: str, by: Author, text: str, *, tenant_id: str, audience: Audience) -> Turn | None:
        """Replace the question of an earlier turn. Return None if the text is unchanged.

        Raises UsageError, and NotAllowed unless ``by`` is the asker.
        """
        turn = await self._known(tenant_id, turn_id, by)
        if by.id != turn.author.id:
            raise NotAllowed(user_messages.NOT_YOURS_TO_CHANGE)
        if not turn.question:
            raise UsageError(user_messages.UNKNOWN_TURN)
        asked = turn.message_id.partition(":")[0]
        now = self._clock()
        edited = Incoming(turn.thread, asked, by, text.strip(), "ask", now, audience=audience, edited_at=now)
        return await self.edited(edited)

    async def deleted(self, thread: ThreadKey, message_id: str, surface_for: SurfaceFor) -> Sequence[Turn]:
        """Handle a deleted message: stop its turns, delete their questions and answers, and return them.

        Raises StoreAway.

        The turns' ledger rows stay. Their replies are removed in the background, by another process if this one dies.
        If the deletion arrives before the message, which a redelivery can cause, the message is not accepted later.
        """
        inbox = self._stores.inbox
        known = await inbox.turns_of(thread, message_id)
        if not known and not await inbox.note_command(thread, message_id):
            known = await inbox.turns_of(thread, message_id)
        for turn in known:
            await self._stores.retractions.forget(turn)
            self._runner.retract(turn, surface_for(turn))
        return known

    async def forget(self, turn_id: str, by: Author, *, tenant_id: str, surface_for: SurfaceFor) -> Sequence[Turn]:
        """Delete a turn and its repetitions, and return them.

        Raises UsageError, and NotAllowed unless ``by`` is the asker or an admin.
        """
        turn = await self._known(tenant_id, turn_id, by)
        if not await may_act(self._stores.settings, turn, by):
            raise NotAllowed(user_messages.NOT_YOURS_TO_FORGET)
        asked = turn.message_id if turn.thread.private else turn.message_id.partition(":")[0]
        return await self.deleted(turn.thread, asked, surface_for)

    async def repeat(
        self,
        turn_id: str,
        by: Author,
        *,
        tenant_id: str,
        wish: Tier | None,
        audience: Audience,
        place: tuple[Platform, str] | None = None,
    ) -> Turn:
        """Accept the question of an earlier turn again, bypassing the answer cache.

        ``audience`` is that of the person who asks again, not that of the first asker. ``place`` is the platform and
        the channel that must have the turn, where people choose the ID freely. Raises UsageError: for a turn elsewhere,
        for a private turn, because its answer would appear in the channel, and while the same is being answered again
        already.
        """
        earlier = await self._known(tenant_id, turn_id, by)
        if place not in (None, (earlier.thread.platform, earlier.thread.channel_id)):
            raise UsageError(user_messages.UNKNOWN_TURN)
        if earlier.thread.private:
            raise UsageError(user_messages.PRIVATE_AGAIN)
        asked = earlier.message_id.partition(":")[0]
        # Two clicks at once get the same ID if neither sees the other's turn among the known ones, and the inbox
        # accepts it once. Otherwise the later click sees that turn among the open ones, which are read afterwards.
        known = await self._stores.inbox.turns_of(earlier.thread, asked)
        newest = max(((turn.created_at, turn.id) for turn in known if turn.wish == wish), default=(None, ""))[1]
        waiting = await self._stores.queue.open_turns(earlier.thread)
        if any(turn.message_id.startswith(f"{asked}:") and turn.wish == wish for turn in waiting):
            raise UsageError(user_messages.ASKED_AGAIN)
        accepted = await self.accept(
            Incoming(
                thread=earlier.thread,
                message_id=f"{asked}:{newest}:{wish or ''}",
                author=by,
                text=earlier.question,
                kind="ask",
                sent_at=self._clock(),
                wish=wish,
                fresh=True,
                audience=audience,
            )
        )
        if accepted is None:
            raise UsageError(user_messages.ASKED_AGAIN)
        return accepted

    async def _known(self, tenant_id: str, turn_id: str, by: Author) -> Turn:
        """Return a stored turn. Raises UsageError if there is none, and alike for another person's private turn."""
        turn = await self._stores.inbox.turn(tenant_id, turn_id)
        if turn is None or _hidden(turn, by):
            raise UsageError(user_messages.UNKNOWN_TURN)
        return turn

    # --- running

    def start(self, turn: Turn, surface: Surface) -> asyncio.Task[Outcome]:
        """Run the turn in the background and return its task, whose result says how it ended.

        The task raises only for a lost lease, a shutdown, or a database that remains unavailable.
        """
        return self._runner.start(turn, surface)

    def runs_here(self, turn_id: str) -> bool:
        """Return whether a turn waits or runs in this process."""
        return self._runner.running(turn_id) is not None

    async def resume(self, platform: Platform, surface_for: SurfaceFor) -> int:
        """Start the platform's turns that this process may run, now and whenever one is queued.

        Return how many started now.
        """
        return await self._runner.serve(platform, surface_for)

    async def mark_serving(self, platform: Platform) -> None:
        """Record that this process serves the platform and has read its missed messages. Raises StoreAway."""
        await self._stores.queue.mark_serving(platform)

    async def last_served(self, platform: Platform) -> datetime | None:
        """Return when another process last served the platform, or None if none did within a day."""
        return await self._stores.queue.last_served(platform)

    async def direct_channels(self, platform: Platform) -> Sequence[str]:
        """Return the direct-message channels with recent questions, the latest first."""
        return await self._stores.queue.direct_channels(platform)

    def notice(self, notice: Notice) -> None:
        """React to what happened in other processes. Never blocks."""
        self._runner.notice(notice)

    async def follows(self, thread: ThreadKey) -> bool:
        """Return whether the bot answers in this thread without a mention: it was asked in it, nobody told it to be
        quiet there, and the channel allows it.
        """
        stores = self._stores
        return await stores.inbox.follows(thread) and (await stores.settings.channel_settings(thread)).follow_ups

    async def rate(self, turn_id: str, by: Author, *, tenant_id: str, value: int, reason: str = "") -> None:
        """Store a rating, 1 or -1. A later rating by the same person replaces it. Raises UsageError."""
        await self._stores.conversation.rate(await self._known(tenant_id, turn_id, by), by, value, storable(reason))

    # --- stopping

    async def stop(self, turn_id: str, by: Author, *, tenant_id: str = "") -> None:
        """Stop a turn of this process or, with ``tenant_id``, of any process.

        A complete answer that waits for its platform is shown at once instead.

        Raises NotAllowed unless ``by`` is the asker or an admin; UsageError if it has ended.
        """
        turn = self._runner.running(turn_id)
        if turn is None and tenant_id:
            turn = await self._stores.inbox.turn(tenant_id, turn_id)
        if turn is None or _hidden(turn, by):
            raise UsageError(user_messages.TOO_LATE_TO_STOP)
        if not await may_act(self._stores.settings, turn, by):
            raise NotAllowed(user_messages.NOT_YOURS_TO_STOP)
        if self._runner.stop(turn_id) or await self._stores.queue.ask_to_stop(turn):
            return
        if not await self._stores.late_replies.hurry(turn):
            raise UsageError(user_messages.TOO_LATE_TO_STOP)

    async def stop_thread(self, thread: ThreadKey, by: Author) -> int:
        """Stop the thread's waiting and running turns that ``by`` may stop, and return their number.

        Raises like ``stop`` if none could be stopped.
        """
        found = self._runner.running_in(thread)
        found |= {turn.id for turn in await self._stores.queue.open_turns(thread)}
        if not found:
            raise UsageError(user_messages.TOO_LATE_TO_STOP)
        refusals: list[UsageError | NotAllowed] = []
        for turn_id in found:
            try:
                await self.stop(turn_id, by, tenant_id=thread.tenant_id)
            except (UsageError, NotAllowed) as refusal:
                refusals.append(refusal)
        if len(refusals) == len(found):
            raise refusals[0]
        return len(found) - len(refusals)

    async def settled(self) -> None:
        """Wait until nothing runs, including the work that follows an answer."""
        await self._runner.settled()

    async def close(self, grace: float | None = None) -> None:
        """Run no more turns.

        Running turns may finish for ``grace`` seconds; the rest are cancelled and queued again.
        """
        await self._runner.close(self._grace if grace is None else grace)


def _hidden(turn: Turn, by: Author) -> bool:
    """Return whether the turn is private and another person's. Not even an admin learns of it."""
    return turn.thread.private and by.id != turn.author.id
