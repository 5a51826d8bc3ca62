"""Answers that a person has verified, and the questions that they answer."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE verified_answers (
            tenant_id text NOT NULL,
            id uuid NOT NULL,
            answer text NOT NULL,
            citations jsonb NOT NULL DEFAULT '[]',
            documents jsonb NOT NULL DEFAULT '{}',
            audience text NOT NULL,
            tenant_wide boolean NOT NULL,
            platform text NOT NULL,
            owner_id text NOT NULL,
            owner_name text NOT NULL,
            turn_id uuid,
            verified_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            stale text NOT NULL DEFAULT '',
            told boolean NOT NULL DEFAULT false,
            PRIMARY KEY (tenant_id, id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE verified_questions (
            tenant_id text NOT NULL,
            answer_id uuid NOT NULL,
            position bigint NOT NULL,
            question text NOT NULL,
            model text,
            vector halfvec,
            PRIMARY KEY (tenant_id, answer_id, position),
            FOREIGN KEY (tenant_id, answer_id) REFERENCES verified_answers (tenant_id, id) ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX verified_answers_not_told ON verified_answers (tenant_id) WHERE stale <> '' AND NOT told")
    protect("verified_answers")
    protect("verified_questions")
    op.execute(
        """
        CREATE POLICY list_not_told ON verified_answers FOR SELECT
        USING (stale <> '' AND NOT told AND current_setting('parley.tenant_id', true) = '-')
        """
    )


def downgrade() -> None:
    """Drop the verified answers. They cannot be restored."""
    op.execute("DROP TABLE verified_questions")
    op.execute("DROP TABLE verified_answers")
