"""Functions that read across tenants set the tenant with ``SET LOCAL``, which a distributed PostgreSQL passes on.

It does not pass on what ``set_config()`` sets, so row-level security on its nodes would hide every row. A function that
is marked ``STABLE`` may not use ``SET LOCAL``, so these are ``VOLATILE``. They take and return the same as before.
"""

from __future__ import annotations

from alembic import op

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

_QUEUED_TURNS = """
CREATE OR REPLACE FUNCTION queued_turns()
RETURNS TABLE (
    tenant_id text, turn_id uuid, thread_uid uuid, user_id text, platform text, seq bigint, state text, fence integer,
    holder integer, takeovers integer, created_at timestamptz, started_at timestamptz, lease_until timestamptz,
    withdrawn_at timestamptz, deliver_at timestamptz, queued_at timestamptz
)
LANGUAGE plpgsql {volatility}
AS $$
#variable_conflict use_column
DECLARE bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    {all_tenants};
    RETURN QUERY
        SELECT
            tenant_id, turn_id, thread_uid, user_id, platform, seq, state, fence,
            holder, takeovers, created_at, started_at, lease_until,
            withdrawn_at, deliver_at, queued_at
        FROM turns
        WHERE state IN ('queued', 'running') OR withdrawn_at IS NOT NULL OR deliver_at IS NOT NULL;
    {bound_tenant};
END
$$
"""

_DIRECT_CHANNELS = """
CREATE OR REPLACE FUNCTION recent_direct_channels(asked_on text, most integer)
RETURNS TABLE (channel_id text)
LANGUAGE plpgsql {volatility}
AS $$
#variable_conflict use_column
DECLARE bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    {all_tenants};
    RETURN QUERY
        SELECT channel_id
        FROM turns
        WHERE platform = asked_on AND channel_id = thread_id AND created_at > now() - interval '7 days'
        GROUP BY channel_id
        ORDER BY max(created_at) DESC
        LIMIT most;
    {bound_tenant};
END
$$
"""

_NAMING = """
CREATE OR REPLACE FUNCTION {name}() RETURNS SETOF text
LANGUAGE plpgsql {volatility}
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
        {one_tenant};
        IF {condition} THEN
            RETURN NEXT one;
        END IF;
    END LOOP;
    {bound_tenant};
END
$$
"""

_UPKEEP = """EXISTS (SELECT FROM answers WHERE tenant_id = one)
            OR EXISTS (SELECT FROM page_files WHERE tenant_id = one)
            OR EXISTS (SELECT FROM page_commands WHERE tenant_id = one)
            OR EXISTS (SELECT FROM reservations WHERE tenant_id = one AND state = 'held')
            OR EXISTS (SELECT FROM ledger WHERE tenant_id = one AND status = 'open')
            OR EXISTS (SELECT FROM ingests WHERE tenant_id = one AND state IN ('waiting', 'running'))"""

_SOURCES = "EXISTS (SELECT FROM sources WHERE tenant_id = one)"

_SET_LOCAL = {
    "volatility": "VOLATILE",
    "all_tenants": "SET LOCAL parley.tenant_id = '*'",
    "one_tenant": "EXECUTE format('SET LOCAL parley.tenant_id = %L', one)",
    "bound_tenant": "EXECUTE format('SET LOCAL parley.tenant_id = %L', coalesce(bound_to, ''))",
}
_SET_CONFIG = {
    "volatility": "STABLE",
    "all_tenants": "PERFORM set_config('parley.tenant_id', '*', true)",
    "one_tenant": "PERFORM set_config('parley.tenant_id', one, true)",
    "bound_tenant": "PERFORM set_config('parley.tenant_id', bound_to, true)",
}


_NOTIFY_NEXT = """
CREATE FUNCTION notify_next_turn(channel text, asked_tenant text, asked_thread uuid, anybody integer) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    next record;
BEGIN
    SELECT platform, turn_id, coalesce(holder, anybody) AS holder INTO next
    FROM turns
    WHERE tenant_id = asked_tenant AND thread_uid = asked_thread AND state = 'queued'
    ORDER BY seq
    LIMIT 1;
    IF FOUND THEN
        PERFORM pg_notify(channel, format('ready %s %s %s', next.platform, next.turn_id, next.holder));
    END IF;
END
$$
"""

_NOTIFY_ERASED = """
CREATE FUNCTION notify_erased_turns(channel text, asked_tenant text, asked_user text) RETURNS void
LANGUAGE plpgsql VOLATILE
AS $$
DECLARE
    gone record;
BEGIN
    FOR gone IN
        SELECT platform, turn_id
        FROM turns
        WHERE tenant_id = asked_tenant AND user_id = asked_user
            AND (state IN ('queued', 'running') OR deliver_at IS NOT NULL)
    LOOP
        PERFORM pg_notify(channel, format('moved - %s 0', gone.turn_id));
        PERFORM pg_notify(channel, format('ready %s - 0', gone.platform));
    END LOOP;
END
$$
"""
"""A statement that reads turns runs on their node, where nobody listens. A function notifies from the coordinator."""


def upgrade() -> None:
    """Replace the functions, add those that notify, and the limit at which tokens were last reserved on a day."""
    _replace(_SET_LOCAL)
    op.execute(_NOTIFY_NEXT)
    op.execute(_NOTIFY_ERASED)
    op.execute("ALTER TABLE budget_days ADD COLUMN daily_limit bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE budget_days DROP COLUMN daily_limit")
    op.execute("DROP FUNCTION notify_erased_turns(text, text, text)")
    op.execute("DROP FUNCTION notify_next_turn(text, text, uuid, integer)")
    _replace(_SET_CONFIG)


def _replace(setting: dict[str, str]) -> None:
    op.execute(_QUEUED_TURNS.format(**setting))
    op.execute(_DIRECT_CHANNELS.format(**setting))
    op.execute(_NAMING.format(name="tenants_with_upkeep", condition=_UPKEEP, **setting))
    op.execute(_NAMING.format(name="tenants_with_sources", condition=_SOURCES, **setting))
