"""Sets up the judge of ``parley eval answers``: checks its family, tells its price, and records what it costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.cli import user_messages
from bot.cli.output import echo
from bot.errors import UsageError
from bot.types.conversation import LOCAL_TENANT, ThreadKey

if TYPE_CHECKING:
    from bot.app import App
    from bot.config import Settings
    from bot.evals.answer_cases import Case
    from bot.evals.judge import Judge
    from bot.llm.build import NamedModel

USER = "eval"
"""Who the costs are charged to."""
_THREAD = ThreadKey(LOCAL_TENANT, "console", "console", "eval")


@dataclass(frozen=True, slots=True)
class Judging:
    """A judge of another model family than the models that answer."""

    named: NamedModel
    settings: Settings

    @classmethod
    def prepare(cls, settings: Settings, name: str, cases: Sequence[Case]) -> Judging:
        """Check the model, and tell what judging costs before anything is asked. Raises UsageError, ConfigError."""
        from bot.evals.judge import expected_usage, family
        from bot.evals.judged_answers import submissions
        from bot.llm.build import NamedModel
        from bot.llm.prices import Prices
        from bot.llm.tokens import TokenCounter

        named = NamedModel.parse(settings, name, named_by="--judge")
        for model in sorted(_answering(settings)):
            if family(model) == family(named.model):
                raise UsageError(user_messages.same_family(named.model, model))
        judged = submissions(cases)
        usage = expected_usage(judged, TokenCounter().count)
        cost = named.cost(settings, Prices.load(settings.prices_file), usage)
        echo(user_messages.price_of_judging(len(judged), named.model, cost), err=True)
        return cls(named, settings)

    @asynccontextmanager
    async def opened(self, app: App) -> AsyncIterator[Judge]:
        """Yield the judge, and store its calls in the ledger at the end."""
        from contextlib import aclosing

        from bot.evals.judge import Judge
        from bot.evals.verdict_file import NAME, VerdictFile
        from bot.llm.tokens import TokenCounter
        from bot.store.budgets import judge_calls

        counter = TokenCounter(frozenset({self.named.model}))
        async with aclosing(self.named.build(self.settings, counter, app.services.prices)) as llm:
            judge = Judge(llm, self.named.model, cache=VerdictFile(self.settings.data_dir / NAME))
            try:
                yield judge
            finally:
                day = app.services.clock().date()
                telemetry = app.services.telemetry
                await judge_calls.record(app.database, telemetry, _THREAD, judge.calls, user_id=USER, day=day)


def _answering(settings: Settings) -> frozenset[str]:
    """Return the models that are asked first."""
    from bot.llm.build import TIERS, plan

    chosen = plan(settings)
    return frozenset(chosen.models[chosen.order[tier][0]][tier] for tier in TIERS if chosen.order[tier])
