"""Who added a source, and the name of an upload as it was given, so that nobody replaces another person's document.

Sources from before have no owner. Only an admin replaces or deletes them.
"""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sources ADD COLUMN added_by text, ADD COLUMN upload_name text")


def downgrade() -> None:
    """Drop the owners; an upload then replaces another one of its name again."""
    op.execute("ALTER TABLE sources DROP COLUMN upload_name, DROP COLUMN added_by")
