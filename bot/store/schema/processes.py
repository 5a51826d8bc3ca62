"""The tables of processes and platforms: heartbeats, Slack installations and requests, received events."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from bot.store.schema.columns import metadata, now

processes = Table(
    "processes",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("process_id", Integer, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("platforms", Text, nullable=False, server_default=text("''")),
    Column("faults", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    now("started_at"),
    now("beat_at"),
    Column("pid_namespace", Text, nullable=False, server_default=text("''")),
    Column("pid_started", BigInteger, nullable=False, server_default=text("0")),
)
"""Belongs to no tenant: its rows have the tenant ``*``, which ``Database.queue`` sets."""

slack_installations = Table(
    "slack_installations",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("team_id", Text, nullable=False, server_default=text("''")),
    Column("enterprise_id", Text, nullable=False, server_default=text("''")),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("app_id", Text, nullable=False, server_default=text("''")),
    Column("bot_id", Text, nullable=False, server_default=text("''")),
    Column("bot_user_id", Text, nullable=False, server_default=text("''")),
    Column("scopes", Text, nullable=False, server_default=text("''")),
    Column("installed_by", Text, nullable=False, server_default=text("''")),
    Column("installed_at", DateTime(timezone=True), nullable=False),
    Column("sealed", Text),
    Column("expires_at", DateTime(timezone=True)),
    Column("refreshed_at", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False, server_default=text("1")),
    Column("removed_at", DateTime(timezone=True)),
)
"""A workspace or organization that installed the app. ``tenant_id`` is ``slack:`` and its id, wherever its documents
belong. ``sealed`` holds the encrypted tokens, NULL once the app was removed."""

oauth_states = Table(
    "oauth_states",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("digest", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)
"""OAuth states that were used, as digests, until they expire."""

slack_requests = Table(
    "slack_requests",
    metadata,
    Column("tenant_id", Text, primary_key=True, server_default=text("'*'")),
    Column("digest", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Index("slack_requests_expired", "tenant_id", "expires_at"),
)
"""Requests that Slack sent over HTTP, as digests, while their signatures are valid."""

events_heard = Table(
    "events_heard",
    metadata,
    Column("tenant_id", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    now("first_at"),
    now("last_at"),
)
