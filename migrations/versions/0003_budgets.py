"""Budgets of channels and tenants: a reservation counts for several budgets, and a turn records its asker's role."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE turns ADD COLUMN user_role TEXT DEFAULT 'member' NOT NULL")
    op.execute("ALTER TABLE reservations DROP CONSTRAINT reservations_pkey")
    op.execute("ALTER TABLE reservations ADD PRIMARY KEY (tenant_id, reservation_id, subject)")


def downgrade() -> None:
    """Keep the reservations of users; the older schema has no place for those of channels and tenants."""
    op.execute("DELETE FROM reservations WHERE subject NOT LIKE 'user:%'")
    op.execute("ALTER TABLE reservations DROP CONSTRAINT reservations_pkey")
    op.execute("ALTER TABLE reservations ADD PRIMARY KEY (tenant_id, reservation_id)")
    op.execute("ALTER TABLE turns DROP COLUMN user_role")
