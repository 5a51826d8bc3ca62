"""Files and command replies of the browser page, so that every web process can show them."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE page_files (
            tenant_id text NOT NULL,
            file_id text NOT NULL,
            purpose text NOT NULL,
            name text NOT NULL,
            content_type text NOT NULL,
            size bigint NOT NULL,
            data bytea NOT NULL,
            added_by text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, file_id)
        )
        """
    )
    # Files are mostly compressed already.
    op.execute("ALTER TABLE page_files ALTER COLUMN data SET STORAGE EXTERNAL")
    op.execute(
        """
        CREATE TABLE page_commands (
            tenant_id text NOT NULL,
            command_id text NOT NULL,
            seq bigint GENERATED ALWAYS AS IDENTITY,
            author_id text NOT NULL,
            card jsonb NOT NULL,
            ended boolean NOT NULL,
            updated_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, command_id)
        )
        """
    )
    op.execute("CREATE INDEX page_commands_of_seq ON page_commands (tenant_id, seq)")
    for table in ("page_files", "page_commands"):
        protect(table)


def downgrade() -> None:
    """Drop the files and the replies. Questions and answers stay."""
    op.execute("DROP TABLE page_commands")
    op.execute("DROP TABLE page_files")
