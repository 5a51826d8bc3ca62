"""How a question reached the bot: by a mention, as a follow-up, and so on."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE turns ADD COLUMN kind text NOT NULL DEFAULT 'mention'")


def downgrade() -> None:
    op.execute("ALTER TABLE turns DROP COLUMN kind")
