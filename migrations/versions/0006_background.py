"""Background work: the job queue, ingestion runs, and uploaded files that wait for the worker.

The queue is the schema of the pinned procrastinate version. To pin a later version, add a migration that runs what the
package added to ``sql/migrations`` since then.
"""

from __future__ import annotations

from alembic import op
from procrastinate.schema import SchemaManager

from migrations.security import APP_ROLE, protect

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = (
    "ALTER TABLE sources ADD COLUMN refresh_seconds INTEGER",
    """
    CREATE TABLE ingests (
        tenant_id TEXT NOT NULL,
        id UUID NOT NULL,
        source_id UUID NOT NULL,
        state TEXT DEFAULT 'waiting' NOT NULL,
        asked_by TEXT NOT NULL,
        files BOOLEAN DEFAULT false NOT NULL,
        content_type TEXT DEFAULT '' NOT NULL,
        job_id BIGINT,
        done INTEGER DEFAULT 0 NOT NULL,
        total INTEGER,
        failed INTEGER DEFAULT 0 NOT NULL,
        stop_asked BOOLEAN DEFAULT false NOT NULL,
        report JSONB DEFAULT '{}' NOT NULL,
        error TEXT DEFAULT '' NOT NULL,
        asked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, source_id) REFERENCES sources (tenant_id, id) ON DELETE CASCADE,
        CHECK (state IN ('waiting', 'running', 'done', 'stopped', 'failed'))
    )
    """,
    "CREATE UNIQUE INDEX ingests_one_a_source ON ingests (tenant_id, source_id) WHERE state IN ('waiting', 'running')",
    """
    CREATE TABLE upload_parts (
        tenant_id TEXT NOT NULL,
        ingest_id UUID NOT NULL,
        part INTEGER NOT NULL,
        data BYTEA NOT NULL,
        PRIMARY KEY (tenant_id, ingest_id, part),
        FOREIGN KEY (tenant_id, ingest_id) REFERENCES ingests (tenant_id, id) ON DELETE CASCADE
    )
    """,
)

KEEP_FROM_TENANTS = f"""
DO $$
DECLARE name TEXT;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = current_schema() AND starts_with(tablename, 'procrastinate_') LOOP
        EXECUTE 'REVOKE ALL ON TABLE ' || name || ' FROM PUBLIC';
        BEGIN
            EXECUTE 'REVOKE ALL ON TABLE ' || name || ' FROM {APP_ROLE}';
        EXCEPTION WHEN undefined_object THEN NULL;
        END;
    END LOOP;
END $$
"""  # noqa: S608 - a role of this project

DROP_QUEUE = """
DO $$
DECLARE name TEXT;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = current_schema() AND starts_with(tablename, 'procrastinate_') LOOP
        EXECUTE 'DROP TABLE ' || name || ' CASCADE';
    END LOOP;
    FOR name IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = current_schema()::text::regnamespace AND starts_with(proname, 'procrastinate_') LOOP
        EXECUTE 'DROP FUNCTION ' || name;
    END LOOP;
    FOR name IN SELECT oid::regtype FROM pg_type
        WHERE typnamespace = current_schema()::text::regnamespace AND starts_with(typname, 'procrastinate_')
          AND typtype IN ('e', 'c') LOOP
        EXECUTE 'DROP TYPE ' || name;
    END LOOP;
END $$
"""


def upgrade() -> None:
    for statement in SCHEMA:
        op.execute(statement)
    for table in ("ingests", "upload_parts"):
        protect(table)
    _create_queue()
    op.execute(KEEP_FROM_TENANTS)


def downgrade() -> None:
    op.execute(DROP_QUEUE)
    op.execute("DROP TABLE upload_parts")
    op.execute("DROP TABLE ingests")
    op.execute("ALTER TABLE sources DROP COLUMN refresh_seconds")


def _create_queue() -> None:
    """Create the tables of the queue. psycopg sends several statements at once only if there are no parameters."""
    schema = SchemaManager.get_schema()
    if op.get_context().as_sql:
        op.execute(schema)
        return
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(schema)
