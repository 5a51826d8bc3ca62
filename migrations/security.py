"""Row-level security and grants that every migration applies to its tables.

Every table starts with ``tenant_id``. A transaction sets its tenant with ``set_config('parley.tenant_id', ..., true)``;
without it no row can be read or written. FORCE applies the policy to the owner of the table too. A superuser is bound
only after ``SET LOCAL ROLE parley_app``; that role exists if the connecting role may create roles.
"""

from __future__ import annotations

from alembic import op

APP_ROLE = "parley_app"


def create_app_role() -> None:
    """Create the role that transactions use, if the connecting role may. All databases of a server share it."""
    op.execute(
        f"""
        DO $$ BEGIN
            CREATE ROLE {APP_ROLE} NOLOGIN NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        DO $$ BEGIN
            EXECUTE format('GRANT {APP_ROLE} TO %I', current_user);
        EXCEPTION WHEN undefined_object OR insufficient_privilege THEN NULL;
        END $$
        """
    )
    op.execute(
        f"""
        DO $$ BEGIN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO {APP_ROLE}', current_schema());
        EXCEPTION WHEN undefined_object OR insufficient_privilege THEN NULL;
        END $$
        """
    )


def protect(table: str) -> None:
    """Force row-level security on ``table``, and let the application role use it."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY tenant_isolation ON {table} "
        "USING (tenant_id = current_setting('parley.tenant_id', true)) "
        "WITH CHECK (tenant_id = current_setting('parley.tenant_id', true))"
    )
    grant(table)


def grant(table: str) -> None:
    """Let the application role read and write ``table``."""
    op.execute(
        f"""
        DO $$ BEGIN
            GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE};
        EXCEPTION WHEN undefined_object THEN NULL;
        END $$
        """
    )
