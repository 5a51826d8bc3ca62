"""What a kept answer rests on, so that only a change that touches it ends it; subjects of facts as digests."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Answers kept before have nothing noted, and are not found any more. Row-level security hides every tenant's facts
    from a migration, so that it is lifted while the subjects change."""
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
    """Subjects stay digests: they are compared and never read."""
    op.execute("ALTER TABLE answers DROP COLUMN documents")
    op.execute("ALTER TABLE answers DROP COLUMN evidence")
    op.execute("ALTER TABLE answers DROP COLUMN knowledge_version")
