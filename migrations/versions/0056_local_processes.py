"""A process records the PID namespace in which its PID is unique, and when it started.

Processes on one machine then learn from the kernel which of them have ended.
"""

from __future__ import annotations

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE processes ADD COLUMN pid_namespace text NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE processes ADD COLUMN pid_started bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Tell the end of every process by its heartbeat."""
    op.execute("ALTER TABLE processes DROP COLUMN pid_started")
    op.execute("ALTER TABLE processes DROP COLUMN pid_namespace")
