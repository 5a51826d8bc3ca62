"""Transactions that change rows are run by ``Database.run``, which repeats them after a deadlock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.ingestion.background_runs import Ingestion
from bot.ingestion.daily_limit import DailyLimit
from bot.store.budgets.daily_additions import AddedLimits
from bot.store.database.job_queue import Queue
from bot.store.database.session import Database
from knowledge.sources.files import UploadSource
from knowledge.store import ingest_runs

ROOT = Path(__file__).parents[2]

READS = {
    "bot/cli/ask.py:_answer_and_id",
    "bot/cli/budget.py:_limits",
    "bot/cli/command_runtime.py:require_tenant",
    "bot/cli/costs.py:_reports.load",
    "bot/cli/docs.py:_refresh",
    "bot/cli/docs.py:_set_interval",
    "bot/commands/admin.py:_settings",
    "bot/commands/answer_access.py:find_answer",
    "bot/commands/ask.py:check_share",
    "bot/commands/budget.py:_list",
    "bot/commands/budget.py:limit_of",
    "bot/commands/cited_sources.py:_surroundings",
    "bot/commands/costs.py:make_report",
    "bot/commands/docs.py:_accept_removals",
    "bot/commands/docs.py:_list",
    "bot/commands/docs.py:_named",
    "bot/commands/docs.py:_readable",
    "bot/commands/docs.py:_refresh",
    "bot/commands/docs.py:_set_interval",
    "bot/commands/docs.py:_show",
    "bot/commands/feedback.py:run",
    "bot/commands/held_back_notices.py:_not_told",
    "bot/commands/admin_notices.py:tell_admins",
    "bot/commands/cost_alert_notices.py:tell",
    "bot/platforms/web/admin/budget_pages.py:BudgetPages._page",
    "bot/platforms/web/admin/job_pages.py:JobPages._page",
    "bot/platforms/web/admin/job_pages.py:JobPages._run",
    "bot/platforms/web/question_branches.py:StoredBranches.copies",
    "bot/platforms/web/question_branches.py:StoredBranches.links",
    "bot/commands/stale_answer_notices.py:tell",
    "bot/commands/changed_answer_notices.py:_post",
    "bot/commands/changed_answer_notices.py:_tell",
    "bot/jobs/judged_sample.py:_alert",
    "bot/jobs/judged_sample.py:_collect",
    "bot/jobs/judged_sample.py:_submit",
    "bot/platforms/web/admin/judged_page.py:JudgedPage._shown",
    "bot/commands/admin.py:_digest_channel",
    "bot/commands/gap_digest.py:compose",
    "bot/platforms/web/admin/gaps_page.py:GapsPage.page",
    "bot/platforms/web/admin/cases_file.py:CasesFile._respond",
    "bot/platforms/web/admin/verified_pages.py:VerifiedPages._known",
    "bot/platforms/web/admin/verified_pages.py:VerifiedPages._page",
    "bot/commands/verified_answers.py:verify",
    "bot/commands/verified_answers.py:_check_expert",
    "bot/store/search_standby.py:SearchSessions.__call__",
    "bot/store/verified_answers/similar_questions.py:PostgresVerifiedAnswers.near",
    "bot/store/verified_answers/similar_questions.py:PostgresVerifiedAnswers._encode_new",
    "bot/commands/privacy.py:_exported",
    "bot/commands/settings.py:_show",
    "bot/commands/settings.py:_sources",
    "bot/commands/why.py:run",
    "bot/doctor.py:_reembedding",
    "bot/ingestion/background_runs.py:Ingestion.follow",
    "bot/ingestion/background_runs.py:Ingestion.revive",
    "bot/ingestion/runner.py:IngestRunner._memory",
    "bot/ingestion/runner.py:IngestRunner._source",
    "bot/ingestion/runner.py:IngestRunner.latest",
    "bot/ingestion/runner.py:IngestRunner.work",
    "bot/jobs/maintenance.py:refresh_due_of",
    "bot/platforms/discord/autocomplete.py:_matching",
    "bot/platforms/slack/event_diagnostics.py:check_received_events",
    "bot/platforms/slack/installation/installations.py:Installations._read",
    "bot/store/adapters/budgets.py:PostgresBudgets.budget",
    *(
        f"bot/platforms/web/history.py:StoreHistory.{name}"
        for name in ("listed", "messages", "page", "questions", "ratings", "threads", "title")
    ),
    "bot/platforms/web/conversation_files.py:StoredPageFiles._find",
    "bot/store/adapters/inbox.py:PostgresInbox.follows",
    "bot/store/refusals.py:since",
    "bot/store/adapters/inbox.py:PostgresInbox.turn_shown_in",
    "bot/store/adapters/inbox.py:PostgresInbox.turns_of",
    "bot/store/budgets/token_ratios.py:load",
    "bot/store/adapters/turn_queue.py:PostgresTurnQueue.open_turns",
    "bot/store/answer_cache/similar_answers.py:PostgresSimilarAnswers.near",
    "bot/store/slack_workspaces.py:every",
    "bot/store/turns/thread_memory.py:ThreadMemory.facts",
    "bot/store/turns/thread_memory.py:ThreadMemory.index",
    "bot/store/turns/thread_memory.py:ThreadMemory.older",
}
"""Functions that only read, without locks: such a transaction is never rolled back in favor of another."""

OTHERS = {
    "bot/store/adapters/transactions.py:Transactions.session.once": "repeats by itself",
    "bot/store/database/session.py:Database.run.once": "repeats by itself",
    "bot/store/database/session.py:Database.bulk": "stores documents for minutes; ingestion repeats the whole run",
    "bot/store/database/session.py:Database.queue": "reads the queue of all tenants",
    "bot/evals/followups.py:evaluate": "a schema that nothing else uses",
    "bot/evals/retrieval.py:evaluate": "a schema that nothing else uses",
}
"""Other functions that open ``Database.tenant`` themselves, with the reason."""


def opened(tree: ast.AST, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ast.AsyncWith]]:
    """Yield each ``async with ….tenant(…)`` with the name of its function."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        inner = (*names, node.name) if named else names  # type: ignore[attr-defined]
        if isinstance(node, ast.AsyncWith) and any(_is_tenant(item.context_expr) for item in node.items):
            yield ".".join(inner), node
        yield from opened(node, inner)


def _is_tenant(expression: ast.expr) -> bool:
    return (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and expression.func.attr == "tenant"
    )


def test_only_listed_functions_open_a_transaction_that_is_not_repeated() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{name}"
        for path in sorted((ROOT / "bot").rglob("*.py"))
        for name, _ in opened(ast.parse(path.read_text()))
    }
    listed = READS | set(OTHERS)
    assert found - listed == set(), "use Database.run if it changes rows, or list it as a reader"
    assert listed - found == set(), "it no longer opens a transaction: take it off the list"


def test_the_search_finds_transactions_in_nested_functions() -> None:
    source = "class A:\n async def b(self):\n  async def c():\n   async with self.db.tenant('x') as s: pass"
    assert [name for name, _ in opened(ast.parse(source))] == ["A.b.c"]


async def test_a_deadlock_while_a_run_is_requested_costs_a_repetition_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadlocks = [True]
    begin = ingest_runs.begin

    async def begin_once_in_a_deadlock(session: AsyncSession, **more: Any) -> tuple[ingest_runs.Run, bool]:
        found = await begin(session, **more)
        if deadlocks.pop() if deadlocks else False:
            await session.execute(text("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END $$"))
        return found

    monkeypatch.setattr(ingest_runs, "begin", begin_once_in_a_deadlock)
    queue = Queue(database.session_url)
    try:
        limit = DailyLimit(AddedLimits(0, 0), "UTC", _now)
        ingestion = Ingestion(database, queue, clock=_now, limit=limit)
        requested = await ingestion.begin(
            "local", UploadSource("leave.md", b"# Leave"), audience="tenant", asked_by="U1"
        )
    finally:
        await queue.aclose()
    assert requested.new
    async with database.tenant("local") as session:
        assert await session.scalar(text("SELECT count(*) FROM ingests")) == 1


def _now() -> datetime:
    return datetime.now(UTC)
