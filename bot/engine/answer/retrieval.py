"""What the answer rests on: an earlier answer to the same question, or passages of the documents."""

from __future__ import annotations

import logging

from bot.engine import cache, user_messages
from bot.engine.answer import cached, experts, prompt, query
from bot.engine.answer.budget import PASSAGE_SHARE
from bot.engine.answer.context import Context
from bot.engine.answer.run import Run
from bot.types.conversation import History
from bot.types.settings import ChannelSettings
from knowledge.errors import KnowledgeError
from knowledge.types import Found

log = logging.getLogger(__name__)


async def from_cache(context: Context, run: Run, settings: ChannelSettings, history: History) -> bool:
    """Only a question that opens a thread is looked up: later ones may mean something else."""
    if run.turn.fresh and context.near is not None:
        await context.near.asked_afresh(run.turn)
    stands_alone = not (history.messages or history.summary or run.beside)
    if not stands_alone or not run.route or not context.settings.answer_cache_hours:
        return False
    run.ground = ground = cache.ground(
        scope=run.scope,
        prompt_version=prompt.VERSION,
        model=run.route.model,
        persona=settings.persona,
    )
    run.cache_key = cache.key(run.turn.question, ground)
    if run.turn.fresh:
        return False
    return await cached.earlier(context, run, run.cache_key, ground)


async def retrieve(context: Context, run: Run, history: History) -> None:
    """Passages for the question; a search that fails is told in a note, and the answer does without."""
    start = context.monotonic()
    try:
        run.found = await query.search(context, run, history)
        if run.found is not None:
            _judge(context, run, run.found)
    except KnowledgeError as error:
        log.warning("turn %s: search failed: %s", run.turn.id, error)
        run.notes.append(user_messages.NO_KNOWLEDGE)
        run.passages = run.attached
    run.timings_ms["search"] = context.since(start)


def _judge(context: Context, run: Run, found: Found) -> None:
    """Passages that do not hold the answer are not shown to the model; of weak ones it is told to say that they are."""
    if found.confidence < found.decline_below and (run.attached or (run.beside and not run.read)):
        run.passages = run.attached
        return
    if run.read and not run.attached:
        run.notes.append(user_messages.not_in_files(run.read))
    if found.confidence < found.decline_below:
        near = [one.place for one in found.passages]
        run.notes.append(
            user_messages.nothing_found(run.query, found.documents, near, experts.people(run.query, found.passages))
        )
        return
    own, earlier = (run.attached, ()) if run.read else ((), run.attached)
    run.passages = prompt.fitting((*own, *found.passages, *earlier), context.share(PASSAGE_SHARE), context.count)
    run.weak = found.confidence < found.weak_below
