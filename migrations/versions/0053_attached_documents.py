"""What a document is attached to: a file attached to a mail is a document of its own, and goes with the mail."""

from __future__ import annotations

from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE documents ADD COLUMN attached_to text NOT NULL DEFAULT ''")
    op.execute(
        "CREATE INDEX documents_attached ON documents (tenant_id, source_id, attached_to) WHERE attached_to <> ''"
    )


def downgrade() -> None:
    """Drop what documents are attached to. The documents stay, and the next refresh takes them for lost ones."""
    op.execute("DROP INDEX documents_attached")
    op.execute("ALTER TABLE documents DROP COLUMN attached_to")
