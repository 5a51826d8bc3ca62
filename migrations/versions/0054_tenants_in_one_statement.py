"""The functions that name tenants with work read that work across tenants, instead of one tenant after the other.

They read what is there to do, so a round over thousands of tenants costs what their work costs. Only the functions bind
a transaction to ``*``, as those of the turn queue do, and they return ids alone.
"""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

_BEFORE = import_module("migrations.versions.0048_settings_for_nodes")

_WORK = {
    "answers": "true",
    "page_files": "true",
    "page_commands": "true",
    "reservations": "state = 'held'",
    "ledger": "(status = 'open' OR summed <> 'yes')",
    "ingests": "state IN ('waiting', 'running')",
    "sources": "kind <> 'upload'",
    "knowledge_state": "true",
}
"""Which rows of each table can be read across tenants."""

_NAMING = """
CREATE OR REPLACE FUNCTION {signature} RETURNS SETOF text
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    IF bound_to IS DISTINCT FROM '-' THEN
        RETURN;
    END IF;
    SET LOCAL parley.tenant_id = '*';
    RETURN QUERY {query};
    SET LOCAL parley.tenant_id = '-';
END
$$
"""

_UPKEEP = """
        SELECT tenant_id FROM answers
        UNION SELECT tenant_id FROM page_files
        UNION SELECT tenant_id FROM page_commands
        UNION SELECT tenant_id FROM reservations WHERE state = 'held'
        UNION SELECT tenant_id FROM ledger WHERE status = 'open'
        UNION SELECT tenant_id FROM ingests WHERE state IN ('waiting', 'running')"""

_NEW_CALLS = "SELECT DISTINCT tenant_id FROM ledger WHERE summed <> 'yes'"

_VERSIONS = """
CREATE FUNCTION knowledge_versions() RETURNS TABLE (tenant_id text, version bigint)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    IF bound_to IS DISTINCT FROM '-' THEN
        RETURN;
    END IF;
    SET LOCAL parley.tenant_id = '*';
    RETURN QUERY SELECT tenant_id, version FROM knowledge_state;
    SET LOCAL parley.tenant_id = '-';
END
$$
"""

_SOURCES = "SELECT DISTINCT tenant_id FROM sources WHERE kind <> 'upload'"

_OLD_READINGS = f"""{_SOURCES}
        AND coalesce(refresh_seconds, every) > 0
        AND fetched_at + make_interval(secs => coalesce(refresh_seconds, every)) <= at"""


def upgrade() -> None:
    for table, work in _WORK.items():
        op.execute(
            f"CREATE POLICY name_across_tenants ON {table} FOR SELECT "
            f"USING (current_setting('parley.tenant_id', true) = '*' AND {work})"
        )
    op.execute(_NAMING.format(signature="tenants_with_upkeep()", query=_UPKEEP))
    op.execute(_NAMING.format(signature="tenants_with_sources()", query=_SOURCES))
    op.execute(_NAMING.format(signature="tenants_with_new_calls()", query=_NEW_CALLS))
    op.execute(_VERSIONS)
    op.execute(_NAMING.format(signature="tenants_to_refresh(every integer, at timestamptz)", query=_OLD_READINGS))


def downgrade() -> None:
    """Look at one tenant after the other again."""
    op.execute("DROP FUNCTION tenants_to_refresh(integer, timestamptz)")
    op.execute("DROP FUNCTION knowledge_versions()")
    op.execute("DROP FUNCTION tenants_with_new_calls()")
    for name, condition in (("tenants_with_upkeep", _BEFORE._UPKEEP), ("tenants_with_sources", _BEFORE._SOURCES)):
        op.execute(_BEFORE._NAMING.format(name=name, condition=condition, **_BEFORE._SET_LOCAL))
    for table in _WORK:
        op.execute(f"DROP POLICY name_across_tenants ON {table}")
