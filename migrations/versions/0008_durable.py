"""Heartbeats of processes, leases of turns, and ledger rows of provider calls that are written before the call.

Every column has a default or may be NULL, so that processes of the previous version can still write.
"""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE processes (
        tenant_id TEXT DEFAULT '*' NOT NULL,
        process_id INTEGER NOT NULL,
        host TEXT NOT NULL,
        pid INTEGER NOT NULL,
        platforms TEXT DEFAULT '' NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        beat_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (tenant_id, process_id)
    )
    """,
    "ALTER TABLE turns ADD COLUMN holder INTEGER",
    "ALTER TABLE turns ADD COLUMN takeovers INTEGER DEFAULT 0 NOT NULL",
    "ALTER TABLE turns ADD COLUMN stopping BOOLEAN DEFAULT false NOT NULL",
    "CREATE INDEX ledger_open ON ledger (tenant_id, turn_id) WHERE status = 'open'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    protect("processes")


def downgrade() -> None:
    """Keep the ledger rows of unfinished calls with their estimates."""
    op.execute("UPDATE ledger SET status = 'error', error = 'left behind' WHERE status = 'open'")
    op.execute("DROP INDEX ledger_open")
    for column in ("stopping", "takeovers", "holder"):
        op.execute(f"ALTER TABLE turns DROP COLUMN {column}")
    op.execute("DROP TABLE processes")
