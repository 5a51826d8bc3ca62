"""Conversations: tenants, threads, turns, messages, ledger, budgets, answers, feedback."""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "budget_days",
    "budgets",
    "channels",
    "inbox",
    "ledger",
    "reservations",
    "tenants",
    "threads",
    "messages",
    "turns",
    "answers",
    "feedback",
    "reply_parts",
)

SCHEMA = """
CREATE TABLE budget_days (
    tenant_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    day DATE NOT NULL,
    used BIGINT DEFAULT 0 NOT NULL,
    reserved BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (tenant_id, subject, day)
);

CREATE TABLE budgets (
    tenant_id TEXT NOT NULL,
    subject TEXT NOT NULL,
    daily_tokens BIGINT NOT NULL,
    set_by TEXT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, subject)
);

CREATE TABLE channels (
    tenant_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    settings JSONB DEFAULT '{}' NOT NULL,
    PRIMARY KEY (tenant_id, channel_id)
);

CREATE TABLE inbox (
    tenant_id TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    turn_id UUID NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, channel_id, message_id)
);

CREATE TABLE ledger (
    tenant_id TEXT NOT NULL,
    call_id UUID NOT NULL,
    turn_id UUID,
    thread_uid UUID,
    platform TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    tier TEXT,
    input_tokens BIGINT DEFAULT 0 NOT NULL,
    cached_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_tokens BIGINT DEFAULT 0 NOT NULL,
    cache_write_long_tokens BIGINT DEFAULT 0 NOT NULL,
    completion_tokens BIGINT DEFAULT 0 NOT NULL,
    reasoning_tokens BIGINT DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(18, 10),
    price_version TEXT NOT NULL,
    status TEXT NOT NULL,
    estimated BOOLEAN NOT NULL,
    latency_ms FLOAT NOT NULL,
    ttft_ms FLOAT,
    error TEXT DEFAULT '' NOT NULL,
    budget_day DATE NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, call_id)
);

CREATE INDEX ledger_of_turn ON ledger (tenant_id, turn_id);

CREATE INDEX ledger_recent ON ledger (tenant_id, created_at);

CREATE TABLE reservations (
    tenant_id TEXT NOT NULL,
    reservation_id UUID NOT NULL,
    turn_id UUID NOT NULL,
    subject TEXT NOT NULL,
    day DATE NOT NULL,
    tokens BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, reservation_id)
);

CREATE INDEX reservations_held ON reservations (tenant_id, turn_id) WHERE state = 'held';

CREATE TABLE tenants (
    tenant_id TEXT NOT NULL,
    platform TEXT NOT NULL,
    name TEXT DEFAULT '' NOT NULL,
    timezone TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id)
);

CREATE TABLE threads (
    tenant_id TEXT NOT NULL,
    thread_uid UUID NOT NULL,
    platform TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    title TEXT NOT NULL,
    summary TEXT DEFAULT '' NOT NULL,
    summary_upto BIGINT DEFAULT 0 NOT NULL,
    tier TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, thread_uid)
);

CREATE INDEX threads_recent ON threads (tenant_id, platform, channel_id, updated_at);

CREATE TABLE messages (
    tenant_id TEXT NOT NULL,
    thread_uid UUID NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    turn_id UUID NOT NULL,
    role TEXT NOT NULL,
    author_id TEXT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, thread_uid, seq),
    FOREIGN KEY(tenant_id, thread_uid) REFERENCES threads (tenant_id, thread_uid) ON DELETE CASCADE
);

CREATE INDEX messages_of_turn ON messages (tenant_id, turn_id);

CREATE TABLE turns (
    tenant_id TEXT NOT NULL,
    turn_id UUID NOT NULL,
    seq BIGINT GENERATED ALWAYS AS IDENTITY,
    thread_uid UUID NOT NULL,
    platform TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    message_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    question TEXT NOT NULL,
    wish TEXT,
    fresh BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    fence INTEGER DEFAULT 0 NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    answer TEXT DEFAULT '' NOT NULL,
    citations JSONB DEFAULT '[]' NOT NULL,
    cached BOOLEAN DEFAULT false NOT NULL,
    refused TEXT,
    trace JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (tenant_id, turn_id),
    FOREIGN KEY(tenant_id, thread_uid) REFERENCES threads (tenant_id, thread_uid) ON DELETE CASCADE
);

CREATE INDEX turns_of_thread ON turns (tenant_id, thread_uid, seq);

CREATE UNIQUE INDEX turns_one_running ON turns (tenant_id, thread_uid) WHERE state = 'running';

CREATE INDEX turns_open ON turns (platform, seq) WHERE state IN ('queued', 'running');

CREATE TABLE answers (
    tenant_id TEXT NOT NULL,
    key TEXT NOT NULL,
    turn_id UUID NOT NULL,
    answer TEXT NOT NULL,
    citations JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (tenant_id, key),
    FOREIGN KEY(tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
);

CREATE INDEX answers_of_turn ON answers (tenant_id, turn_id);

CREATE TABLE feedback (
    tenant_id TEXT NOT NULL,
    turn_id UUID NOT NULL,
    user_id TEXT NOT NULL,
    value SMALLINT NOT NULL,
    reason TEXT DEFAULT '' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, turn_id, user_id),
    FOREIGN KEY(tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
);

CREATE TABLE reply_parts (
    tenant_id TEXT NOT NULL,
    turn_id UUID NOT NULL,
    part INTEGER NOT NULL,
    ref TEXT,
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (tenant_id, turn_id, part),
    FOREIGN KEY(tenant_id, turn_id) REFERENCES turns (tenant_id, turn_id) ON DELETE CASCADE
);
"""

READ_ACROSS_TENANTS = """
CREATE POLICY read_across_tenants ON {} FOR SELECT
USING (current_setting('parley.tenant_id', true) = '*')
"""
"""Lets tenant ``*`` read the queue of turns and the list of tenants; no other table is read across tenants."""


def upgrade() -> None:
    for statement in SCHEMA.split(";"):
        if statement.strip():
            op.execute(statement)
    for table in TABLES:
        protect(table)
    for table in ("tenants", "turns"):
        op.execute(READ_ACROSS_TENANTS.format(table))


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")
