"""Attachments of questions: files, and the earlier part of a thread that the bot joined later."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE attachments (
            tenant_id text NOT NULL,
            turn_id uuid NOT NULL,
            position integer NOT NULL,
            kind text NOT NULL,
            name text NOT NULL,
            content_type text NOT NULL DEFAULT '',
            size bigint NOT NULL DEFAULT 0,
            ref text NOT NULL DEFAULT '',
            text text,
            people jsonb NOT NULL DEFAULT '[]',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, turn_id, position),
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    protect("attachments")


def downgrade() -> None:
    """Drop the text read from files and threads; the questions stay."""
    op.execute("DROP TABLE attachments")
