"""When a turn was queued last, what was read before an erasure, and indexes for look-ups that scanned whole tables."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_QUEUED_TURNS = """
CREATE FUNCTION queued_turns()
RETURNS TABLE (
    tenant_id text, turn_id uuid, thread_uid uuid, user_id text, platform text, seq bigint, state text, fence integer,
    holder integer, takeovers integer, created_at timestamptz, started_at timestamptz, lease_until timestamptz,
    withdrawn_at timestamptz, deliver_at timestamptz{type}
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
            withdrawn_at, deliver_at{column}
        FROM turns
        WHERE state IN ('queued', 'running') OR withdrawn_at IS NOT NULL OR deliver_at IS NOT NULL;
    PERFORM set_config('parley.tenant_id', bound_to, true);
END
$$
"""

INDEXES = {
    "turns_of_user": "turns (tenant_id, user_id, seq)",
    "inbox_of_prefix": "inbox (tenant_id, channel_id, message_id text_pattern_ops)",
    "inbox_of_commands": "inbox (tenant_id, received_at) WHERE turn_id = '00000000-0000-0000-0000-000000000000'",
}


def upgrade() -> None:
    """Add the columns. Questions that wait keep their order, because equal times are ordered by number."""
    op.execute("ALTER TABLE turns ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now()")
    op.execute("ALTER TABLE knowledge_state ADD COLUMN erased_version bigint NOT NULL DEFAULT 0")
    op.execute("DROP FUNCTION queued_turns()")
    op.execute(_QUEUED_TURNS.format(type=", queued_at timestamptz", column=", queued_at"))
    for name, columns in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {columns}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
    op.execute("DROP FUNCTION queued_turns()")
    op.execute(_QUEUED_TURNS.format(type="", column=""))
    op.execute("ALTER TABLE knowledge_state DROP COLUMN erased_version")
    op.execute("ALTER TABLE turns DROP COLUMN queued_at")
