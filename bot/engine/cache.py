"""The key of the exact-match answer cache. Pure."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata

from knowledge.types import Scope

_SPACE = re.compile(r"\s+")
_POLITE = re.compile(r"^(?:hi|hello|hey|please)[,!.]?\s+|[,\s]+(?:please|thanks|thank you)$")


def normalised(question: str) -> str:
    """The question without what does not change its answer: case, spacing, courtesy, closing punctuation."""
    text = _SPACE.sub(" ", unicodedata.normalize("NFKC", question)).strip().casefold()
    return _POLITE.sub("", text.rstrip("?!. ")).rstrip("?!., ")


def key(
    question: str, *, scope: Scope, knowledge_version: int, prompt_version: str, model: str, persona: str | None
) -> str:
    """Equal for two questions only where everything that shapes the answer is equal."""
    parts = [
        normalised(question),
        scope.tenant_id,
        *sorted(scope.audiences),
        knowledge_version,
        prompt_version,
        model,
        persona or "",
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
