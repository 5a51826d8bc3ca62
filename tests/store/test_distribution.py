"""What ``parley db distribute`` and the doctor say without a cluster, and which faults of a cluster they name.

``tests/distributed`` distributes tables over a real cluster.
"""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from bot.errors import ConfigError
from bot.store import diagnostics
from bot.store.database import distribution
from bot.store.database.distribution import Cluster, problems, tenant_tables

WORKING = Cluster("14.0-1", 2, is_coordinator=True, distributed=frozenset({"tenants", "turns"}), role="parley",
                  bypasses=False, propagates=True)  # fmt: skip
EXPECTED = ("tenants", "turns")


def test_a_server_without_citus_says_so_in_one_line_and_stays_as_it_is(database_url: str) -> None:
    with pytest.raises(ConfigError) as raised:
        distribution.distribute(database_url)
    assert str(raised.value) == distribution.NO_CITUS
    assert "\n" not in distribution.NO_CITUS
    with psycopg.connect(database_url) as connection:
        assert distribution.read(connection) is None


async def test_the_doctor_says_nothing_of_clusters_without_one(database_url: str) -> None:
    checks = await diagnostics.check(database_url, database_url, "DATABASE_URL")
    assert {one.name for one in checks} >= {"database", "schema", "tenant isolation"}
    assert distribution.CHECK not in {one.name for one in checks}


def test_each_table_is_distributed_after_those_that_it_refers_to(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        names, kept = tenant_tables(connection)
        pairs = connection.execute(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint"
            " WHERE contype = 'f' AND conrelid <> confrelid AND connamespace = 'public'::regnamespace"
        ).fetchall()
    assert names[0] == "tenants"
    referring = [(child, parent) for child, parent in pairs if not child.startswith("procrastinate_")]
    assert referring
    assert [pair for pair in referring if names.index(pair[0]) < names.index(pair[1])] == []
    assert {"processes", "slack_requests", "oauth_states", "token_ratios", "refusals"} <= set(kept)
    assert not set(names) & {*kept, "alembic_version", "procrastinate_jobs"}


def test_a_cluster_that_works_has_no_fault() -> None:
    assert list(problems(WORKING, EXPECTED)) == []
    assert list(problems(replace(WORKING, distributed=frozenset(), propagates=False), EXPECTED)) == []


@pytest.mark.parametrize(
    ("cluster", "cure"),
    [
        (replace(WORKING, is_coordinator=False), "Set DATABASE_URL to the coordinator's address"),
        (replace(WORKING, distributed=frozenset({"tenants"})), "parley db distribute"),
        (replace(WORKING, propagates=False), "ALTER ROLE \"parley\" SET citus.propagate_set_commands TO 'local'"),
        (replace(WORKING, bypasses=True), "Connect with a role that is not a superuser and lacks BYPASSRLS"),
    ],
)
def test_each_fault_of_a_cluster_has_its_cure(cluster: Cluster, cure: str) -> None:
    (problem,) = problems(cluster, EXPECTED)
    assert cure in problem.fix
    assert "\n" not in str(problem)
