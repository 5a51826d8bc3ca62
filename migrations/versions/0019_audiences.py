"""Who reads an answer, decided when its question is accepted, and whether it may rest on tenant-wide documents."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# The traces of public turns that name a private turn whose cached answer they gave.
_TRACES_NAMING_PRIVATE_TURNS = """
    UPDATE turns SET trace = turns.trace || '{"cached_from": null}'
    FROM turns AS source
    WHERE source.tenant_id = turns.tenant_id AND starts_with(source.thread_id, 'ask:')
      AND turns.trace ->> 'cached_from' IN (source.turn_id::text, replace(source.turn_id::text, '-', ''))
      AND turns.user_id <> source.user_id
"""


def upgrade() -> None:
    """Add the columns, and remove references to private turns from the traces of public ones.

    The readers of earlier answers are not known, so those answers count as tenant-wide, and a question that still
    waits is answered without tenant-wide documents. Row-level security hides all turns from a migration, so it is
    lifted for the change of the traces.
    """
    op.execute("ALTER TABLE turns ADD COLUMN audience text NOT NULL DEFAULT 'unknown'")
    op.execute("ALTER TABLE turns ADD COLUMN tenant_wide boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE turns NO FORCE ROW LEVEL SECURITY")
    op.execute(_TRACES_NAMING_PRIVATE_TURNS)
    op.execute("ALTER TABLE turns FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("ALTER TABLE turns DROP COLUMN tenant_wide")
    op.execute("ALTER TABLE turns DROP COLUMN audience")
