"""What a judge said about a sample of the answers."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE judgments (
            tenant_id text NOT NULL,
            turn_id uuid NOT NULL,
            model text NOT NULL,
            batch text NOT NULL,
            place bigint NOT NULL DEFAULT 0,
            tokens bigint NOT NULL DEFAULT 0,
            state text NOT NULL,
            passed boolean,
            score real,
            cause text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, turn_id),
            FOREIGN KEY (tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
        )
        """
    )
    op.execute("CREATE INDEX judgments_waiting ON judgments (tenant_id, batch) WHERE state = 'waiting'")
    op.execute("CREATE INDEX judgments_recent ON judgments (tenant_id, created_at)")
    protect("judgments")


def downgrade() -> None:
    op.execute("DROP TABLE judgments")
