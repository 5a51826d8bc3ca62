"""When a reply that could not be shown is shown next; the turn queue lists such turns."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

QUEUED_TURNS = """
CREATE FUNCTION queued_turns()
RETURNS TABLE (
    tenant_id text, turn_id uuid, thread_uid uuid, user_id text, platform text, seq bigint, state text, fence integer,
    holder integer, takeovers integer, created_at timestamptz, started_at timestamptz, lease_until timestamptz,
    withdrawn_at timestamptz{columns}
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
            withdrawn_at{names}
        FROM turns
        WHERE state IN ('queued', 'running') OR withdrawn_at IS NOT NULL{condition};
    PERFORM set_config('parley.tenant_id', bound_to, true);
END
$$
"""

READ_QUEUE = """
CREATE POLICY read_across_tenants ON turns FOR SELECT
USING (
    current_setting('parley.tenant_id', true) = '*'
    AND (
        state IN ('queued', 'running')
        OR withdrawn_at IS NOT NULL{condition}
        OR channel_id = thread_id AND created_at > now() - interval '7 days'
    )
)
"""

UNDELIVERED = " OR deliver_at IS NOT NULL"


def _replace(columns: str, names: str, condition: str) -> None:
    op.execute("DROP FUNCTION queued_turns()")
    op.execute("DROP POLICY read_across_tenants ON turns")
    op.execute(READ_QUEUE.format(condition=condition))
    op.execute(QUEUED_TURNS.format(columns=columns, names=names, condition=condition))


def upgrade() -> None:
    op.execute("ALTER TABLE turns ADD COLUMN deliver_at timestamptz")
    op.execute("CREATE INDEX turns_undelivered ON turns (platform, deliver_at) WHERE deliver_at IS NOT NULL")
    _replace(", deliver_at timestamptz", ", deliver_at", UNDELIVERED)


def downgrade() -> None:
    _replace("", "", "")
    op.execute("ALTER TABLE turns DROP COLUMN deliver_at")
