"""Memory of threads: facts that users stated, and vectors for finding old messages."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE facts (
            tenant_id text NOT NULL,
            fact_id uuid NOT NULL,
            thread_uid uuid NOT NULL,
            turn_id uuid NOT NULL,
            kind text NOT NULL,
            subject text NOT NULL,
            text text NOT NULL,
            author_id text NOT NULL,
            author text NOT NULL,
            said_at timestamptz NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, fact_id),
            FOREIGN KEY (tenant_id, thread_uid) REFERENCES threads (tenant_id, thread_uid) ON DELETE CASCADE,
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX facts_of_thread ON facts (tenant_id, thread_uid, said_at)")
    op.execute("CREATE INDEX facts_of_turn ON facts (tenant_id, turn_id)")
    op.execute(
        """
        CREATE TABLE message_vectors (
            tenant_id text NOT NULL,
            thread_uid uuid NOT NULL,
            seq bigint NOT NULL,
            model text NOT NULL,
            vector bytea NOT NULL,
            PRIMARY KEY (tenant_id, thread_uid, seq, model),
            FOREIGN KEY (tenant_id, thread_uid, seq) REFERENCES messages (tenant_id, thread_uid, seq) ON DELETE CASCADE
        )
        """
    )
    protect("facts")
    protect("message_vectors")


def downgrade() -> None:
    """Drop the tables. Vectors can be computed again; facts are lost."""
    op.execute("DROP TABLE message_vectors")
    op.execute("DROP TABLE facts")
