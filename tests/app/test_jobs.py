"""Tests the background jobs: expired answers, abandoned reservations and missing vectors."""

from __future__ import annotations

import uuid

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.app import App
from bot.commands.tenants_one_by_one import for_each_tenant
from bot.errors import StoreAway
from bot.jobs import maintenance, tasks
from bot.store import maintenance as maintenance_store
from bot.store import tenants
from bot.types.conversation import LOCAL_TENANT
from bot.types.usage import Call, Usage
from knowledge.store import serving_model
from knowledge.text import search_terms
from knowledge.types.scope import Scope
from tests.app.conftest import ask, key


async def test_expired_answers_are_deleted_and_abandoned_reservations_released(app: App) -> None:
    outcome = await ask(app, "When are dogs welcome in the office?")
    turn = await app.services.stores.inbox.turn(LOCAL_TENANT, outcome.turn_id)
    assert turn is not None
    await app.services.stores.budgets.reserve(turn, 500)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE answers SET expires_at = now() - interval '1 minute'"))
        await session.execute(text("UPDATE reservations SET created_at = now() - interval '1 hour'"))
        assert await session.scalar(text("SELECT sum(reserved) FROM budget_days")) > 0
    await maintenance.run_maintenance(app.services)
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM answers")) == 0
        assert await session.scalar(text("SELECT sum(reserved) FROM budget_days")) == 0
    assert (await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")).reserved == 0


async def test_a_call_whose_process_died_after_the_answer_is_counted_as_estimated(app: App) -> None:
    outcome = await ask(app, "When are dogs welcome in the office?")
    turn = await app.services.stores.inbox.turn(LOCAL_TENANT, outcome.turn_id)
    assert turn is not None
    usage, before = (
        Usage(input_tokens=70, completion_tokens=30),
        await app.services.stores.budgets.budget(LOCAL_TENANT, "ann"),
    )
    call = Call(
        "summary", "anthropic", "m", "cheap", usage, None, "t", "open", 0.0, estimated=True, id=uuid.uuid4().hex
    )
    await app.services.stores.budgets.open_call(turn, call, None)
    await maintenance.run_maintenance(app.services)
    assert (await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")).used == before.used, (
        "it may still be under way"
    )
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE ledger SET created_at = now() - interval '1 hour' WHERE status = 'open'"))
    await maintenance.run_maintenance(app.services)
    assert (await app.services.stores.budgets.budget(LOCAL_TENANT, "ann")).used == before.used + 100
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM ledger WHERE status = 'open'")) == 0


async def test_chunks_without_a_vector_of_the_current_model_get_one(app: App) -> None:
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE embeddings SET model = 'an older model'"))
    before = await app.retriever("When are dogs welcome?", Scope(LOCAL_TENANT))
    assert all(passage.legs.dense is None for passage in before.passages)
    assert await maintenance.reembed_if_needed(app.services, LOCAL_TENANT)
    await tasks.reembed(app.services, 0, tenant_id=LOCAL_TENANT)
    assert not await maintenance.reembed_if_needed(app.services, LOCAL_TENANT)
    after = await app.retriever("When are dogs welcome?", Scope(LOCAL_TENANT))
    assert after.passages[0].legs.dense is not None


async def test_one_tenants_failure_does_not_end_the_round(app: App, caplog: pytest.LogCaptureFixture) -> None:
    await add_tenant(app, "slack:T9")
    done: list[str] = []

    async def step(tenant_id: str) -> str:
        if tenant_id == LOCAL_TENANT:
            raise ValueError("a fault of this tenant")
        done.append(tenant_id)
        return tenant_id

    assert await for_each_tenant("work", await tenants.every_tenant(app.database), step) == ["slack:T9"] == done
    assert "a fault of this tenant" in caplog.text

    async def away(tenant_id: str) -> None:
        raise StoreAway("gone")

    with pytest.raises(StoreAway):
        await for_each_tenant("work", await tenants.every_tenant(app.database), away)


async def add_tenant(app: App, tenant_id: str) -> None:
    async with app.database.tenant(tenant_id) as session:
        await session.execute(
            text("INSERT INTO tenants (tenant_id, platform) VALUES (:tenant, 'slack')"), {"tenant": tenant_id}
        )


async def test_one_statement_names_the_tenants_that_need_something(app: App) -> None:
    for name in ("slack:idle", "slack:page"):
        await add_tenant(app, name)
    async with app.database.tenant("slack:page") as session:
        await session.execute(
            text(
                "INSERT INTO page_files (tenant_id, file_id, name, content_type, data, added_by, purpose, size) "
                "VALUES ('slack:page', 'f', 'a.txt', 'text/plain', 'a', 'ann', 'question', 1)"
            )
        )
    assert await tenants.with_upkeep(app.database) == [LOCAL_TENANT, "slack:page"]


async def test_ids_of_commands_are_deleted_and_those_of_questions_kept(app: App) -> None:
    await ask(app, "When are dogs welcome in the office?")
    for message in ("old", "new"):
        assert await app.services.stores.inbox.note_command(key(), message)
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(
            text("UPDATE inbox SET received_at = now() - interval '31 days' WHERE message_id <> 'new'")
        )
    await maintenance.run_maintenance(app.services)
    async with app.database.tenant(LOCAL_TENANT) as session:
        kept = list(await session.scalars(text("SELECT message_id FROM inbox")))
    assert len(kept) == 2
    assert "new" in kept
    assert "old" not in kept


async def test_a_settled_tenant_is_searched_for_missing_vectors_once_a_process(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    count = serving_model.count_missing

    async def counting(session: AsyncSession, tenant_id: str, model: str) -> int:
        counted.append(tenant_id)
        return await count(session, tenant_id, model)

    monkeypatch.setattr(serving_model, "count_missing", counting)
    for _ in range(3):
        await maintenance.run_maintenance(app.services)
    assert counted == [LOCAL_TENANT]


async def test_search_terms_of_earlier_rules_are_made_again_in_the_background(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not (await maintenance_store.look(app.database, LOCAL_TENANT, now=app.services.clock())).terms_outdated
    monkeypatch.setattr(search_terms, "VERSION", search_terms.VERSION + 1)
    await maintenance.run_maintenance(app.services)
    await maintenance.run_maintenance(app.services)
    waiting = await (await app.services.queue.opened()).job_manager.list_jobs_async(task="reindex")
    assert [(job.task_kwargs, job.lock) for job in waiting] == [({"tenant_id": LOCAL_TENANT}, "reindex")]
    await tasks.reindex(app.services, 0, tenant_id=LOCAL_TENANT)
    async with app.database.tenant(LOCAL_TENANT) as session:
        versions = (await session.scalars(text("SELECT DISTINCT terms_version FROM chunks"))).all()
        assert list(versions) == [search_terms.VERSION]
    assert (await app.retriever("When are dogs welcome?", Scope(LOCAL_TENANT))).passages[0].legs.sparse
    assert not (await maintenance_store.look(app.database, LOCAL_TENANT, now=app.services.clock())).terms_outdated


async def test_the_calls_of_finished_days_are_summed_up(app: App) -> None:
    await ask(app, "When are dogs welcome in the office?")
    async with app.database.tenant(LOCAL_TENANT) as session:
        await session.execute(text("UPDATE ledger SET created_at = now() - interval '3 days'"))
    await maintenance.run_maintenance(app.services)
    async with app.database.tenant(LOCAL_TENANT) as session:
        assert await session.scalar(text("SELECT count(*) FROM ledger WHERE summed <> 'yes'")) == 0
        assert await session.scalar(text("SELECT calls FROM ledger_days WHERE dimension = 'user'")) == 1
