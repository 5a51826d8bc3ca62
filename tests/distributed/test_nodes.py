"""Questions are answered while nodes lose their connections, and while shards move to a node that was added."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bot.app import App
from bot.types.conversation import LOCAL_TENANT
from tests.app.conftest import app_with_models, ask, both, handbook, models, settings
from tests.doubles.models import ModelDouble, Reply, Seen

__all__ = ["app_with_models", "both", "handbook", "models", "settings"]
SPARE = "PARLEY_TEST_CITUS_SPARE_NODE"
RESTART = "PARLEY_TEST_CITUS_RESTART"
QUESTION = "What may a hotel in Lisbon cost?"
Node = tuple[str, int]
"""Host and port."""
_CUT = (
    "SELECT run_command_on_workers('SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    " WHERE usename = ''{role}'' AND datname = current_database()')"
)

_PLACE = """
    SELECT nodename, nodeport FROM citus_shards
    WHERE shardid = get_shard_id_for_distribution_column('tenants', CAST(%(tenant)s AS text))
"""
_MOVE = """
    SELECT citus_move_shard_placement(shardid, nodename, nodeport, %(host)s, %(port)s, 'block_writes')
    FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('tenants', CAST(%(tenant)s AS text))
"""


def cut_connections(admin_url: str, role: str) -> None:
    """End every connection of the role on the nodes, as their restart would."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(_CUT.format(role=role))


async def test_an_answer_survives_a_node_that_loses_its_connections(
    app_with_models: App, models: ModelDouble, database_url: str, admin_url: str
) -> None:
    with psycopg.connect(database_url) as connection:
        role = connection.info.user
    cut = 0

    def answering(_: Seen) -> Reply:
        nonlocal cut
        cut += 1
        cut_connections(admin_url, role)
        return Reply("A hotel in Lisbon may cost 180 EUR a night [1].")

    models.script = answering
    outcome = await ask(app_with_models, QUESTION)
    assert cut > 0
    assert (outcome.state, outcome.answer) == ("done", "A hotel in Lisbon may cost 180 EUR a night [1].")


def is_up(admin_url: str, node: Node) -> bool:
    """Return whether the node accepts connections."""
    address = make_url(admin_url).set(host=node[0], port=node[1])
    try:
        psycopg.connect(address.render_as_string(hide_password=False)).close()
    except psycopg.OperationalError:
        return False
    return True


async def test_an_answer_survives_the_crash_of_the_node_that_has_its_rows(
    app_with_models: App, models: ModelDouble, admin_url: str
) -> None:
    if RESTART not in os.environ:
        pytest.skip(f"{RESTART} names no program that restarts a node")
    with psycopg.connect(admin_url) as connection:
        place = connection.execute(_PLACE, {"tenant": LOCAL_TENANT}).fetchone()
    assert place is not None
    restarts: list[subprocess.Popen[bytes]] = []

    def answering(_: Seen) -> Reply:
        """Answer as soon as the node is down; it starts meanwhile."""
        restarts.append(subprocess.Popen([*shlex.split(os.environ[RESTART]), f"{place[0]}:{place[1]}"]))
        while is_up(admin_url, place):
            assert restarts[0].poll() is None, "the node was restarted within one connection"
        return Reply("A hotel in Lisbon may cost 180 EUR a night [1].")

    models.script = answering
    outcome = await ask(app_with_models, QUESTION)
    assert (outcome.state, outcome.answer) == ("done", "A hotel in Lisbon may cost 180 EUR a night [1].")
    assert [await asyncio.to_thread(restart.wait) for restart in restarts] == [0]
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        billed = text("SELECT count(*) FROM ledger WHERE tenant_id = :tenant AND turn_id = :turn")
        billed_calls = await session.scalar(billed, {"tenant": LOCAL_TENANT, "turn": outcome.turn_id})
    assert billed_calls == len(outcome.calls) > 0


@pytest.fixture
def added_node(admin_url: str) -> Iterator[Node]:
    """Add a node without shards to the cluster; afterwards, move what it got to the others, and remove it."""
    if SPARE not in os.environ:
        pytest.skip(f"{SPARE} names no node")
    host, _, port = os.environ[SPARE].rpartition(":")
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("SELECT citus_add_node(%s, %s)", (host, int(port)))
        yield host, int(port)
        connection.execute("SELECT citus_drain_node(%s, %s, shard_transfer_mode => 'block_writes')", (host, int(port)))
        connection.execute("SELECT citus_remove_node(%s, %s)", (host, int(port)))


def move_tenant(admin_url: str, tenant_id: str, node: Node) -> Node:
    """Move the shards of a tenant to the node. Return the node that has them then."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for statement in (_MOVE, _PLACE):
            found = connection.execute(statement, {"tenant": tenant_id, "host": node[0], "port": node[1]}).fetchone()
    assert found is not None
    return found[0], found[1]


async def test_no_question_is_lost_while_the_shards_of_its_tenant_move_to_an_added_node(
    app_with_models: App, models: ModelDouble, added_node: Node, admin_url: str
) -> None:
    models.script = lambda _: Reply("A hotel in Lisbon may cost 180 EUR a night [1].")
    moving = asyncio.create_task(asyncio.to_thread(move_tenant, admin_url, LOCAL_TENANT, added_node))
    states: list[str] = []
    while not moving.done() or len(states) < 3:
        outcome = await ask(app_with_models, f"{QUESTION} Question {len(states)}.", f"t{len(states)}")
        states.append(outcome.state)
    assert await moving == added_node
    assert set(states) == {"done"}
    async with app_with_models.database.tenant(LOCAL_TENANT) as session:
        done = text("SELECT count(*) FROM turns WHERE tenant_id = :tenant AND state = 'done'")
        assert await session.scalar(done, {"tenant": LOCAL_TENANT}) == len(states)
