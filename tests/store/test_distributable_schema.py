"""Tests that the schema follows the rules of a Postgres that distributes tables by ``tenant_id``, as Citus does.

Every unique index starts with the distribution column (``tests/store/test_migrations.py``). Every foreign key includes
it on both sides in the same position. No default uses a sequence that is too narrow to be split among nodes.
"""

from __future__ import annotations

import psycopg

OWN = "nspname = 'public' AND relname <> 'alembic_version' AND NOT starts_with(relname, 'procrastinate_')"


def test_every_foreign_key_stays_within_a_tenant(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        keys = connection.execute(
            f"""
            SELECT conname, source.attname, target.attname FROM pg_constraint
            JOIN pg_class ON pg_class.oid = conrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
            JOIN pg_attribute source ON source.attrelid = conrelid AND source.attnum = conkey[1]
            JOIN pg_attribute target ON target.attrelid = confrelid AND target.attnum = confkey[1]
            WHERE contype = 'f' AND {OWN}
            """
        ).fetchall()
    assert keys
    assert [key for key in keys if key[1:] != ("tenant_id", "tenant_id")] == []


def test_every_sequence_is_wide_enough_to_be_split_among_nodes(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        narrow = connection.execute(
            f"""
            SELECT relname, attname, format_type(atttypid, atttypmod) FROM pg_attribute
            JOIN pg_class ON pg_class.oid = attrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped AND {OWN}
              AND (attidentity <> '' OR pg_get_expr(adbin, adrelid) LIKE 'nextval%')
              AND atttypid <> 'bigint'::regtype
            """
        ).fetchall()
    assert narrow == []


def test_no_trigger_crosses_tenants(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        triggers = connection.execute(
            f"""
            SELECT tgname FROM pg_trigger
            JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE NOT tgisinternal AND {OWN}
            """
        ).fetchall()
    assert triggers == []
