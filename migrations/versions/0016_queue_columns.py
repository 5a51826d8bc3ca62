"""Functions that show the turn queue of all tenants without questions, answers and traces.

A transaction without a tenant (``parley.tenant_id`` is ``-``) sees no row of ``turns``. It calls these functions, which
read across tenants and return only the columns that the queue needs. The tenant ``*``, under which the previous
version reads the queue, keeps its policy, but shows only turns that are in the queue.

The functions set the tenant in their body: an owner who is no superuser may not attach a setting of Parley's own to a
function. If one fails, its transaction or savepoint is rolled back, and the setting with it.
"""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

QUEUED_TURNS = """
CREATE FUNCTION queued_turns()
RETURNS TABLE (
    tenant_id text, turn_id uuid, thread_uid uuid, user_id text, platform text, seq bigint, state text, fence integer,
    holder integer, takeovers integer, created_at timestamptz, started_at timestamptz, lease_until timestamptz,
    withdrawn_at timestamptz
)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    PERFORM set_config('parley.tenant_id', '*', true);
    RETURN QUERY
        SELECT
            tenant_id, turn_id, thread_uid, user_id, platform, seq, state, fence,
            holder, takeovers, created_at, started_at, lease_until,
            withdrawn_at
        FROM turns
        WHERE state IN ('queued', 'running') OR withdrawn_at IS NOT NULL;
    PERFORM set_config('parley.tenant_id', bound_to, true);
END
$$
"""

DIRECT_CHANNELS = """
CREATE FUNCTION recent_direct_channels(asked_on text, most integer)
RETURNS TABLE (channel_id text)
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_column
DECLARE bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    PERFORM set_config('parley.tenant_id', '*', true);
    RETURN QUERY
        SELECT channel_id
        FROM turns
        WHERE platform = asked_on AND channel_id = thread_id AND created_at > now() - interval '7 days'
        GROUP BY channel_id
        ORDER BY max(created_at) DESC
        LIMIT most;
    PERFORM set_config('parley.tenant_id', bound_to, true);
END
$$
"""

READ_ALL_TURNS = """
CREATE POLICY read_across_tenants ON turns FOR SELECT
USING (current_setting('parley.tenant_id', true) = '*')
"""

READ_QUEUE = """
CREATE POLICY read_across_tenants ON turns FOR SELECT
USING (
    current_setting('parley.tenant_id', true) = '*'
    AND (
        state IN ('queued', 'running')
        OR withdrawn_at IS NOT NULL
        OR channel_id = thread_id AND created_at > now() - interval '7 days'
    )
)
"""
"""The last condition finds the direct messages that a Discord process catches up with when it starts."""

LIST_TENANTS = """
CREATE POLICY list_without_tenant ON tenants FOR SELECT
USING (current_setting('parley.tenant_id', true) = '-')
"""

USE_WITHOUT_TENANT = """
CREATE POLICY use_without_tenant ON {}
USING (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
WITH CHECK (tenant_id = '*' AND current_setting('parley.tenant_id', true) = '-')
"""
"""For rows that belong to no tenant. They are stored with the tenant ``*``."""

WITHOUT_TENANT = ("processes", "oauth_states")


def upgrade() -> None:
    op.execute("DROP POLICY read_across_tenants ON turns")
    op.execute(READ_QUEUE)
    op.execute(QUEUED_TURNS)
    op.execute(DIRECT_CHANNELS)
    op.execute(LIST_TENANTS)
    for table in WITHOUT_TENANT:
        op.execute(USE_WITHOUT_TENANT.format(table))


def downgrade() -> None:
    for table in WITHOUT_TENANT:
        op.execute(f"DROP POLICY use_without_tenant ON {table}")
    op.execute("DROP POLICY list_without_tenant ON tenants")
    op.execute("DROP FUNCTION recent_direct_channels(text, integer)")
    op.execute("DROP FUNCTION queued_turns()")
    op.execute("DROP POLICY read_across_tenants ON turns")
    op.execute(READ_ALL_TURNS)
