"""Evidence of cached answers, so that only changes to it invalidate them; subjects of facts as digests."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns, and replace the subjects of facts by digests.

    Answers cached before have no evidence, and are not found any more. Row-level security hides all facts from a
    migration, so it is lifted while the subjects change.
    """
    op.execute("ALTER TABLE answers ADD COLUMN knowledge_version bigint")
    op.execute("ALTER TABLE answers ADD COLUMN evidence text")
    op.execute("ALTER TABLE answers ADD COLUMN documents jsonb")
    op.execute("ALTER TABLE facts NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE facts SET subject = encode(sha256(convert_to(subject, 'UTF8')), 'hex') "
        "WHERE subject !~ '^[0-9a-f]{64}$'"
    )
    op.execute("ALTER TABLE facts FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop the columns. Subjects stay digests, because they are compared and never displayed."""
    op.execute("ALTER TABLE answers DROP COLUMN documents")
    op.execute("ALTER TABLE answers DROP COLUMN evidence")
    op.execute("ALTER TABLE answers DROP COLUMN knowledge_version")
