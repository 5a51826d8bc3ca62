"""Processes that tell that they live, whose turn is whose, and provider calls that are on record before they are sent.

Every column may be left out, so that the code that does not know it goes on writing.
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
    """A call that was under way stays in the ledger as the estimate that it is."""
    op.execute("UPDATE ledger SET status = 'error', error = 'left behind' WHERE status = 'open'")
    op.execute("DROP INDEX ledger_open")
    for column in ("stopping", "takeovers", "holder"):
        op.execute(f"ALTER TABLE turns DROP COLUMN {column}")
    op.execute("DROP TABLE processes")
