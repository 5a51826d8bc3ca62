"""Has a share of the answers judged in the background, with the batch API of another provider.

The share, the model and the tokens a day are settings. An answer is judged against the passages that it was written
from. Admins are told if the pass rate falls by more than chance explains.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from bot.commands.services import Services
from bot.engine.ports.llm import Prompt
from bot.errors import ConfigError, LLMError, for_operator
from bot.evals.agreement import wilson
from bot.evals.judge import MAX_TOKENS, Submission, Verdict, combined, family, prompt
from bot.llm import structured
from bot.llm.batches.batch import Batch, BatchId, Completion, Result
from bot.llm.build import NamedModel
from bot.llm.tokens import TokenCounter
from bot.store import judgments
from bot.store.budgets import cost_alerts, judge_calls
from bot.store.budgets.cost_alerts import CostAlert
from bot.store.judgments import Candidate, JudgedDay, Verdicts
from bot.types.conversation import ThreadKey
from bot.types.usage import UNLIMITED, Call

log = logging.getLogger(__name__)

USER = "judge"
"""Who the costs are charged to. They count against no budget but the judge's own."""
LOOKED_BACK = timedelta(days=1)
PASSAGE_CHARS = 6000
"""Characters of an answer's passages that the judge reads."""
MOST_AT_ONCE = 100
LONGEST_WAIT = timedelta(days=2)
"""After this, a batch is given up. Providers end theirs within a day."""
RECENT, BEFORE = timedelta(days=7), timedelta(days=35)
"""The last days, and the days whose end they are compared with."""
SUBMITTED = "submitted"
"""The provider of a batch whose name is not known yet; its id is the key that the batch was submitted with."""
SUBMITTING = timedelta(minutes=15)
"""How long the submission of a batch may take. After that, the batch is looked for at its provider."""
REFUSALS, MAYBE_DONE = range(400, 500), (408, 409)
"""HTTP statuses of requests that were not carried out, and those among them after which one may have been."""
_LOST = ("batch", "missing", "rejected")
"""Kinds of errors after which a batch never has results."""


async def judge_sample(services: Services, tenant_id: str) -> None:
    """Fetch the verdicts that are ready, and submit the answers that were sampled since. Raises StoreAway."""
    settings = services.settings
    if not settings.judge_share or not settings.judge_model:
        return
    try:
        named = NamedModel.parse(settings, settings.judge_model, named_by="PARLEY_JUDGE_MODEL")
        counter = TokenCounter(frozenset({named.model}))
        async with aclosing(named.build_batch(settings, counter, services.prices)) as batch:
            await _collect(services, tenant_id, batch)
            if await _submit(services, tenant_id, named.model, batch, counter):
                await _collect(services, tenant_id, batch)
    except (LLMError, ConfigError) as error:
        log.warning("the sample of answers is judged later: %s", for_operator(error))
    await _alert(services, tenant_id)


async def _submit(services: Services, tenant_id: str, model: str, batch: Batch, counter: TokenCounter) -> bool:
    """Submit the sampled answers that the judge's tokens of today allow; return whether there were any."""
    settings, now = services.settings, services.clock()
    today = datetime.combine(now.date(), time.min, now.tzinfo)
    async with services.database.tenant(tenant_id) as session:
        period: Any = {"tenant_id": tenant_id, "start": now - LOOKED_BACK}
        models = await judgments.answer_models(session, **period)
        found = await judgments.candidates(
            session,
            **period,
            share=settings.judge_share,
            excluded=[one for one in models if family(one) == family(model)],
            most=MOST_AT_ONCE,
        )
        used = await judgments.tokens_since(session, tenant_id=tenant_id, start=today)
    left = (settings.judge_daily_tokens or UNLIMITED) - used
    chosen: list[Candidate] = []
    estimates: list[int] = []
    for one in found:
        tokens = sum(counter.count(each.messages[0].text + each.system, model) + MAX_TOKENS for each in prompts([one]))
        if tokens > left:
            break
        left -= tokens
        chosen.append(one)
        estimates.append(tokens)
    if not chosen:
        return False
    # The answers are recorded before they are submitted: a process that dies in between must not submit them twice.
    pending = BatchId(SUBMITTED, uuid.uuid4().hex)

    async def store(session: AsyncSession) -> bool:
        return await judgments.choose(
            session,
            tenant_id=tenant_id,
            model=model,
            batch=str(pending),
            turn_ids=[one.turn_id for one in chosen],
            tokens=estimates,
        )

    if not await services.database.run(tenant_id, store):
        return False
    try:
        submitted = await batch.submit(prompts(chosen), key=pending.id)
    except LLMError as error:
        if is_refusal(error):
            await services.database.run(tenant_id, partial(judgments.release, tenant_id=tenant_id, batch=str(pending)))
        raise
    await services.database.run(
        tenant_id, partial(judgments.rename, tenant_id=tenant_id, batch=str(pending), to=str(submitted))
    )
    return True


def is_refusal(error: LLMError) -> bool:
    """Return whether the provider said that it did not take a batch. After a lost response, nobody knows."""
    return error.status in REFUSALS and error.status not in MAYBE_DONE


async def _name(services: Services, tenant_id: str, batch: Batch, pending: BatchId, since: datetime) -> BatchId | None:
    """Find a batch whose name was not stored, and store it. Raises LLMError.

    If the provider has none, its answers are chosen anew. Return None then, and while it may still be on its way.
    """
    if services.clock() - since < SUBMITTING:
        return None
    found = await batch.find(pending.id, since=since)
    if found is None:
        change = partial(judgments.release, tenant_id=tenant_id, batch=str(pending))
    else:
        change = partial(judgments.rename, tenant_id=tenant_id, batch=str(pending), to=str(found))
    await services.database.run(tenant_id, change)
    return found


def prompts(chosen: Sequence[Candidate]) -> list[Prompt]:
    """Return two requests for each answer, one for each order."""
    schema = structured.strict(Verdict.model_json_schema())
    return [
        replace(prompt(_submission(one), answer_first=first), schema=schema)
        for one in chosen
        for first in (False, True)
    ]


def _submission(one: Candidate) -> Submission:
    passages = "\n\n".join(f"[{n}] {text}" for n, text in enumerate(one.passages, 1))[:PASSAGE_CHARS]
    told = passages or "(none were found)"
    required = f"It must answer the question from these passages alone, or say that they do not tell:\n{told}"
    return Submission(one.question, required, one.answer)


async def _collect(services: Services, tenant_id: str, batch: Batch) -> None:
    """Store the verdicts of the batches that have ended, and their costs in the same transaction."""
    async with services.database.tenant(tenant_id) as session:
        open_batches = await judgments.waiting(session, tenant_id=tenant_id)
    for name, waiting in open_batches.items():
        calls: list[Call] = []
        batch_id: BatchId | None = BatchId.parse(name)
        try:
            if batch_id and batch_id.provider == SUBMITTED:
                batch_id = await _name(services, tenant_id, batch, batch_id, waiting.submitted_at)
            if batch_id is None:
                continue
            results = await batch.results(batch_id, meter=calls.append)
        except LLMError as error:
            if error.kind not in _LOST and services.clock() - waiting.submitted_at <= LONGEST_WAIT:
                continue  # It is still running, or the provider does not answer now.
            verdicts = [Verdicts(turn_id, None, None, error.kind) for turn_id, _ in waiting.turns]
        else:
            verdicts = [_judged(turn_id, results[2 * place : 2 * place + 2]) for turn_id, place in waiting.turns]

        thread = ThreadKey(tenant_id, "console", USER, USER)
        await judge_calls.record(
            services.database,
            services.telemetry,
            thread,
            calls,
            user_id=USER,
            day=services.clock().date(),
            beside=judgments.storing(tenant_id=tenant_id, verdicts=verdicts),
        )


def _judged(turn_id: str, results: Sequence[Result]) -> Verdicts:
    """Return the judgment of two results. Whatever is no verdict ends as not judged, never as passed."""
    found: list[Verdict] = []
    for result in results:
        if isinstance(result, LLMError):
            return Verdicts(turn_id, None, None, result.kind)
        if not isinstance(result, Completion) or result.reason != "complete":
            return Verdicts(turn_id, None, None, result.reason)
        try:
            found.append(Verdict.model_validate_json(structured.without_fence(result.text)))
        except ValidationError:
            return Verdicts(turn_id, None, None, "nonsense")
    if len(found) < 2:
        return Verdicts(turn_id, None, None, "missing")
    judged = combined(found)
    return Verdicts(turn_id, judged.passed, judged.score, "" if judged.passed is not None else "contradiction")


async def _alert(services: Services, tenant_id: str) -> None:
    """Record an alert if the pass rate of the last week fell. There is one alert a week at most."""
    now = services.clock()
    async with services.database.tenant(tenant_id) as session:
        found = await judgments.days(session, tenant_id=tenant_id, start=now - BEFORE)
        alerts = await cost_alerts.since(session, tenant_id=tenant_id, day=(now - RECENT).date())
    alert = fallen(found, now.date())
    if alert is None or any(one.kind == alert.kind for one in alerts):
        return

    async def store(session: AsyncSession) -> None:
        await cost_alerts.record(session, tenant_id=tenant_id, alerts=[alert])

    await services.database.run(tenant_id, store)


def fallen(found: Sequence[JudgedDay], today: date) -> CostAlert | None:
    """Return an alert if the interval of the last week's pass rate lies below that of the weeks before."""
    first = today - RECENT
    recent = [one for one in found if one.day > first]
    before = [one for one in found if one.day <= first]
    (passed, judged), (passed_before, judged_before) = (
        (sum(one.passed for one in part), sum(one.judged for one in part)) for part in (recent, before)
    )
    if not judged or not judged_before or wilson(passed, judged)[1] >= wilson(passed_before, judged_before)[0]:
        return None
    rates = (Decimal(passed) / judged, Decimal(passed_before) / judged_before)
    return CostAlert(today, "pass rate", 0, *rates)
