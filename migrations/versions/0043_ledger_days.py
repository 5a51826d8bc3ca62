"""Sums of the ledger for each finished day, so that reports over a year do not read every model call.

``ledger.summed`` says whether a row is in the sums of its day: ``no``, ``yes``, or ``changed`` if it was changed since.
"""

from __future__ import annotations

from alembic import op

from migrations.security import protect

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_SUMS = """
    calls bigint NOT NULL,
    unknown_calls bigint NOT NULL,
    estimated_calls bigint NOT NULL,
    answers bigint NOT NULL,
    input_tokens bigint NOT NULL,
    cached_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL,
    cache_write_long_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    reasoning_tokens bigint NOT NULL,
    cost_usd numeric(28, 10) NOT NULL
"""


def upgrade() -> None:
    op.execute("ALTER TABLE ledger ADD COLUMN summed text NOT NULL DEFAULT 'no'")
    op.execute("CREATE INDEX ledger_unsummed ON ledger (tenant_id, created_at) WHERE summed <> 'yes'")
    op.execute(
        f"""
        CREATE TABLE ledger_days (
            tenant_id text NOT NULL,
            dimension text NOT NULL,
            day date NOT NULL,
            key text NOT NULL,
            {_SUMS},
            PRIMARY KEY (tenant_id, dimension, day, key)
        )
        """
    )
    op.execute(
        f"""
        CREATE TABLE ledger_price_days (
            tenant_id text NOT NULL,
            day date NOT NULL,
            provider text NOT NULL,
            model text NOT NULL,
            is_cheap_answer boolean NOT NULL,
            used_cache boolean NOT NULL,
            is_priced boolean NOT NULL,
            step integer NOT NULL,
            steps bigint[] NOT NULL,
            {_SUMS},
            PRIMARY KEY (tenant_id, day, provider, model, is_cheap_answer, used_cache, is_priced, step)
        )
        """
    )
    protect("ledger_days")
    protect("ledger_price_days")


def downgrade() -> None:
    """Drop the sums; the ledger has every call."""
    op.execute("DROP TABLE ledger_price_days")
    op.execute("DROP TABLE ledger_days")
    op.execute("DROP INDEX ledger_unsummed")
    op.execute("ALTER TABLE ledger DROP COLUMN summed")
