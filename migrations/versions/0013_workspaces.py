"""Slack installations through OAuth, pending OAuth states, and the kinds of events received."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE slack_installations (
        tenant_id text NOT NULL,
        team_id text NOT NULL DEFAULT '',
        enterprise_id text NOT NULL DEFAULT '',
        name text NOT NULL DEFAULT '',
        app_id text NOT NULL DEFAULT '',
        bot_id text NOT NULL DEFAULT '',
        bot_user_id text NOT NULL DEFAULT '',
        scopes text NOT NULL DEFAULT '',
        installed_by text NOT NULL DEFAULT '',
        installed_at timestamptz NOT NULL,
        sealed text,
        expires_at timestamptz,
        refreshed_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        removed_at timestamptz,
        PRIMARY KEY (tenant_id)
    )
    """,
    """
    CREATE TABLE oauth_states (
        tenant_id text NOT NULL DEFAULT '*',
        digest text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, digest)
    )
    """,
    """
    CREATE TABLE events_heard (
        tenant_id text NOT NULL,
        platform text NOT NULL,
        kind text NOT NULL,
        first_at timestamptz NOT NULL DEFAULT now(),
        last_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, platform, kind)
    )
    """,
)
TABLES = ("slack_installations", "oauth_states", "events_heard")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for table in TABLES:
        protect(table)


def downgrade() -> None:
    """Drop the installations; workspaces have to install the app again."""
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
