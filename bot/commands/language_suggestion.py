"""Suggests the multilingual embedding model where the model is English and many documents are not."""

from __future__ import annotations

from babel import Locale

from bot.commands import docs_user_messages
from bot.store.database.session import Database
from knowledge.packaged_models import MULTILINGUAL_MODEL, OFFLINE_MODEL
from knowledge.store.document_languages import most_common_foreign, sample_texts

LEAST_PERCENT = 10
"""The share of documents in one other language from which on the model is suggested."""


async def suggest_multilingual(database: Database, tenant_id: str, embedding_model: str) -> str:
    """Return one line that says what to do; empty if there is nothing to suggest."""
    if embedding_model != OFFLINE_MODEL:
        return ""
    found = await most_common_foreign(await database.run(tenant_id, lambda session: sample_texts(session, tenant_id)))
    if found is None or found.percent < LEAST_PERCENT:
        return ""
    name = Locale(found.language).get_display_name("en") or found.language
    return docs_user_messages.other_language(found.percent, name, MULTILINGUAL_MODEL)
