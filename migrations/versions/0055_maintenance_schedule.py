"""A tenant says when it needs maintenance next, so that a round finds the due ones in one statement.

``knowledge_versions()`` also returns the embedding models of each tenant: a change of the configured model is work for
tenants that nobody uses. ``tenants_with_sources()`` is dropped, because nothing calls it. Release 0.2.0 has neither
function; its schema ends with revision 0015.
"""

from __future__ import annotations

from importlib import import_module

from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

_BEFORE = import_module("migrations.versions.0054_tenants_in_one_statement")

_VERSIONS = """
CREATE FUNCTION knowledge_versions()
RETURNS TABLE (tenant_id text, version bigint, model text, next_model text)
LANGUAGE plpgsql VOLATILE
AS $$
#variable_conflict use_column
DECLARE
    bound_to text := current_setting('parley.tenant_id', true);
BEGIN
    IF bound_to IS DISTINCT FROM '-' THEN
        RETURN;
    END IF;
    SET LOCAL parley.tenant_id = '*';
    RETURN QUERY SELECT tenant_id, version, model, next_model FROM knowledge_state;
    SET LOCAL parley.tenant_id = '-';
END
$$
"""

_COLUMNS = ("maintain_at timestamptz", "maintained_version bigint", "maintained_terms integer")


def upgrade() -> None:
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE tenants ADD COLUMN {column}")
    op.execute("DROP FUNCTION knowledge_versions()")
    op.execute(_VERSIONS)
    op.execute("DROP FUNCTION tenants_with_sources()")


def downgrade() -> None:
    """Maintain every tenant in one loop again, once a day."""
    op.execute(_BEFORE._NAMING.format(signature="tenants_with_sources()", query=_BEFORE._SOURCES))
    op.execute("DROP FUNCTION knowledge_versions()")
    op.execute(_BEFORE._VERSIONS)
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE tenants DROP COLUMN {column.split()[0]}")
