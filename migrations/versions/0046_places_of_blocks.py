"""Documents stored before version 0.3 have their blocks in the form that is read now: offset, page, headings.

Until then a block was its kind, its start and end, its headings and its page. Searches failed on such documents.
"""

from __future__ import annotations

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

MAX_PLACES = 10_000
"""A document with more places keeps none, as a document that is stored now."""

_CONVERT = f"""
    UPDATE documents SET blocks = CASE
        WHEN jsonb_array_length(blocks) > {MAX_PLACES} THEN '[]'
        ELSE (
            SELECT jsonb_agg(jsonb_build_array(block -> 1, block -> 4, block -> 3) ORDER BY number)
            FROM jsonb_array_elements(blocks) WITH ORDINALITY AS entries (block, number)
        )
    END
    WHERE jsonb_typeof(blocks #> '{{0,0}}') = 'string'
"""  # noqa: S608


def upgrade() -> None:
    op.execute("ALTER TABLE documents NO FORCE ROW LEVEL SECURITY")
    op.execute(_CONVERT)
    op.execute("ALTER TABLE documents FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Leave the places: the kinds and ends of blocks are lost, and earlier versions read neither."""
