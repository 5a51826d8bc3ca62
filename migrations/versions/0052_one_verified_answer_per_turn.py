"""A turn has at most one verified answer: of several, the latest one stays."""

from __future__ import annotations

from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

_DELETE_EARLIER = """
    DELETE FROM verified_answers AS earlier USING verified_answers AS later
    WHERE later.tenant_id = earlier.tenant_id AND later.turn_id = earlier.turn_id
        AND (later.verified_at, later.id) > (earlier.verified_at, earlier.id)
"""


def upgrade() -> None:
    op.execute("ALTER TABLE verified_answers NO FORCE ROW LEVEL SECURITY")
    op.execute(_DELETE_EARLIER)
    op.execute("ALTER TABLE verified_answers FORCE ROW LEVEL SECURITY")
    op.execute("CREATE UNIQUE INDEX verified_answers_of_turn ON verified_answers (tenant_id, turn_id)")


def downgrade() -> None:
    """Allow several again. What was deleted is not restored."""
    op.execute("DROP INDEX verified_answers_of_turn")
