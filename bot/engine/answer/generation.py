"""Generates an answer: builds the prompt, reserves tokens, streams the model's text, and retries some failures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.engine import memory, user_messages
from bot.engine.aio import closing
from bot.engine.answer import prompt, prompt_cache, reservation
from bot.engine.answer.attempt_state import Attempt, cache_key_of
from bot.engine.answer.budget_limits import PASSAGE_SHARE
from bot.engine.answer.citations import renumber
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.prompt import SentPrompt
from bot.engine.answer.question_context import Attachments
from bot.engine.answer.retrieval import Evidence
from bot.engine.display.stream import Display
from bot.engine.memory import Remembered
from bot.engine.ports.llm import Ended, Prompt, Restarted
from bot.errors import ContextTooLong, LLMError, Refused
from bot.types.conversation import Fact
from bot.types.turns import TurnRecord
from bot.types.usage import Route
from knowledge.passage_compression import compress
from knowledge.types import Passage

COMPRESSED_SHARE = 0.5
"""The share of the passages' tokens that is kept when they are compressed."""


@dataclass(frozen=True, slots=True)
class Material:
    """The inputs of an answer's prompt."""

    record: TurnRecord
    route: Route
    attachments: Attachments
    evidence: Evidence
    recalled: tuple[Remembered, ...]
    facts: tuple[Fact, ...]


async def generate(context: Context, attempt: Attempt, material: Material, display: Display) -> None:
    """Stream the answer into the attempt's journal and the display.

    A prompt that proves too long is halved once; an empty answer is asked for again once. Raises Refused, LLMError.
    """
    journal, share, was_empty = attempt.journal, 1.0, False
    while True:
        request = _build(context, attempt, material, share)
        images = _image_tokens(context, material)
        request = await reservation.for_prompt(context, attempt, request, images)
        try:
            ended = await _stream(context, attempt, request, display)
        except ContextTooLong:
            if share < 1.0:
                raise
            share = 0.5
            journal.events.append("the prompt was too long for the model and was halved")
            continue
        if journal.text.strip() or ended.reason == "refused" or was_empty:
            break
        was_empty = True
        journal.events.append("the model returned nothing")
    if ended.reason == "cut":
        journal.notes.append(user_messages.CUT)
    if ended.reason == "refused":
        journal.notes.append(user_messages.DECLINED)
    if not journal.text.strip():
        raise Refused(user_messages.DECLINED if ended.reason == "refused" else user_messages.NO_ANSWER)


def _build(context: Context, attempt: Attempt, material: Material, share: float) -> Prompt:
    """Build the prompt with a ``share`` of the usual history and passages, and record its contents in the journal."""
    turn, evidence, history = attempt.turn, material.evidence, material.record.history
    past = memory.compose(
        history, material.recalled, int(share * context.share(HISTORY_SHARE)), context.count, facts=material.facts
    )
    passages = evidence.passages
    if share < 1.0:
        passages = prompt.fitting(passages, int(share * context.share(PASSAGE_SHARE)), context.count)
    passages, shown = _compressed(context, evidence.query.expanded, passages)
    terms = context.memory.terms if context.memory else None
    request = prompt.build(
        question=turn.question,
        searched=evidence.query.expanded,
        author=turn.author.name,
        past=past,
        passages=shown,
        tier=material.route.tier,
        max_tokens=context.settings.answer_tokens,
        persona=material.record.settings.persona,
        cache_key=cache_key_of(turn.thread),
        life=prompt_cache.life(prompt_cache.pauses(history, turn.created_at)),
        language=evidence.query.language,
        attached=material.attachments.context,
        looked_up=evidence.query.needs_search,
        told=evidence.query.statements,
        bearing=memory.relevant_facts(turn.question, material.facts, terms) if terms else (),
        said=memory.earlier_statements(turn.question, (*past.recalled, *past.messages), terms) if terms else (),
    )
    if evidence.low_confidence:
        request = prompt.hinted(request, prompt.LOW_CONFIDENCE)
    attempt.journal.sent = SentPrompt(passages, past, prompt.parts(request, past, context.count))
    return request


def _compressed(
    context: Context, query: str, passages: tuple[Passage, ...]
) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    """Return the original passages, which citations are checked against, and the compressed ones for the model."""
    if not context.settings.compression:
        return passages, passages
    extracts = compress(query, passages, share=COMPRESSED_SHARE, count=context.count)
    shown = tuple(replace(extract.passage, text=extract.text) for extract in extracts)
    return tuple(extract.passage for extract in extracts), shown


def _image_tokens(context: Context, material: Material) -> int:
    reader = context.reader
    if reader is None:
        return 0
    return sum(reader.tokens(image, material.route.model) for image in material.attachments.context.images)


async def _stream(context: Context, attempt: Attempt, request: Prompt, display: Display) -> Ended:
    """Show the text as it arrives. Raises LLMError if the stream ends without its last event."""
    journal = attempt.journal
    journal.text = ""
    count = len(journal.sent.passages) if journal.sent else 0
    async with closing(context.llm.stream(request, meter=attempt.accounting)) as events:
        async for event in events:
            if isinstance(event, Ended):
                return event
            if isinstance(event, Restarted):
                journal.text = ""
                journal.events.append(event.reason)
                continue
            if "ttft" not in journal.timings_ms:
                journal.timings_ms["ttft"] = context.since(attempt.started)
            journal.text += event.text
            display.show(lambda: renumber(journal.text, count))
    raise LLMError("The model's answer is incomplete. Ask again.")
