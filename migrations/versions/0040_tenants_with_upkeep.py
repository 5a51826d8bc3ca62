"""Functions name the tenants that have something to maintain, so that a round over many tenants is one statement.

They take the tenants one after the other, so row-level security applies to each look. They return ids alone, and those
only to a transaction without a tenant, which may list the tenants anyway.
"""

from __future__ import annotations

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

_NAMING = """
CREATE FUNCTION {name}() RETURNS SETOF text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    bound_to text := current_setting('parley.tenant_id', true);
    every text[];
    one text;
BEGIN
    IF bound_to IS DISTINCT FROM '-' THEN
        RETURN;
    END IF;
    every := ARRAY(SELECT tenant_id FROM tenants ORDER BY tenant_id);
    FOREACH one IN ARRAY every LOOP
        PERFORM set_config('parley.tenant_id', one, true);
        IF {condition} THEN
            RETURN NEXT one;
        END IF;
    END LOOP;
    PERFORM set_config('parley.tenant_id', bound_to, true);
END
$$
"""

_UPKEEP = """EXISTS (SELECT FROM answers WHERE tenant_id = one)
            OR EXISTS (SELECT FROM page_files WHERE tenant_id = one)
            OR EXISTS (SELECT FROM page_commands WHERE tenant_id = one)
            OR EXISTS (SELECT FROM reservations WHERE tenant_id = one AND state = 'held')
            OR EXISTS (SELECT FROM ledger WHERE tenant_id = one AND status = 'open')
            OR EXISTS (SELECT FROM ingests WHERE tenant_id = one AND state IN ('waiting', 'running'))"""
"""What is short-lived or was left behind. Everything else ages in days, or changes with a version of Parley."""

_SOURCES = "EXISTS (SELECT FROM sources WHERE tenant_id = one)"


def upgrade() -> None:
    op.execute(_NAMING.format(name="tenants_with_upkeep", condition=_UPKEEP))
    op.execute(_NAMING.format(name="tenants_with_sources", condition=_SOURCES))


def downgrade() -> None:
    """Drop the functions; each round looks at every tenant again."""
    op.execute("DROP FUNCTION tenants_with_sources()")
    op.execute("DROP FUNCTION tenants_with_upkeep()")
