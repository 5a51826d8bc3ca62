"""Cached answers for rephrased questions: the vectors of questions, the outcome of hits, and answers under way.

Answers that the previous version cached have no ``ground``, and are found by their exact key only.
"""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE answers
            ADD COLUMN ground text,
            ADD COLUMN question text,
            ADD COLUMN model text,
            ADD COLUMN vector halfvec
        """
    )
    op.execute("CREATE INDEX answers_on_ground ON answers (tenant_id, ground) WHERE ground IS NOT NULL")
    op.execute(
        """
        CREATE TABLE answer_hits (
            tenant_id text NOT NULL,
            turn_id uuid NOT NULL,
            key text NOT NULL,
            similarity real NOT NULL,
            shadow boolean NOT NULL,
            verdict smallint,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, turn_id),
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX answer_hits_of_entry ON answer_hits (tenant_id, key)")
    op.execute(
        """
        CREATE TABLE answer_flights (
            tenant_id text NOT NULL,
            key text NOT NULL,
            turn_id uuid NOT NULL,
            until timestamptz NOT NULL,
            PRIMARY KEY (tenant_id, key),
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX answer_flights_of_turn ON answer_flights (tenant_id, turn_id)")
    protect("answer_hits")
    protect("answer_flights")


def downgrade() -> None:
    """Drop the cached vectors and hits; questions are answered again."""
    op.execute("DROP TABLE answer_flights")
    op.execute("DROP TABLE answer_hits")
    op.execute("DROP INDEX answers_on_ground")
    op.execute("ALTER TABLE answers DROP COLUMN ground, DROP COLUMN question, DROP COLUMN model, DROP COLUMN vector")
