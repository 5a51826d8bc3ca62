"""Decides how long a cached answer is valid, by the passages it is based on and by whether it is time-sensitive.

Does no I/O.

An answer is made from the passages that its question finds. While the question finds the same passages, a new answer
would be based on the same evidence, even if other documents were added or changed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from bot.types.answer_cache import CacheLifetime
from bot.types.display import Citation
from knowledge.types.search_results import Found

CHAT = ("slack:", "discord:")
"""Prefixes of chat sources; answers that cite chat messages are time-sensitive."""

_TIME_SENSITIVE_QUESTION = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|currently|current|presently|at the moment|at present|"
    r"right away|still|yet|already|so far|as of|lately|recent|recently|latest|newest|last|next|this|these days|"
    r"status|progress|state|ongoing|open|pending|available|on call|on duty|up to date|how long (?:until|till)|"
    r"heute|morgen|gestern|jetzt|derzeit|zurzeit|zur zeit|momentan|aktuell\w*|gerade|noch|schon|bereits|bisher|"
    r"neueste\w*|letzte\w*|nächste\w*|diese\w*|stand|offen\w*|bereitschaft)\b",
    re.IGNORECASE,
)
_TIME_SENSITIVE_ANSWER = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|currently|at the moment|at present|right now|as of|so far|not yet|"
    r"this (?:week|month|quarter|year)|(?:last|next) (?:week|month|quarter|year)|"
    r"heute|gestern|derzeit|zurzeit|momentan|aktuell|bisher|noch nicht|diese[nrsm]? (?:woche|monat|jahr|quartal))\b",
    re.IGNORECASE,
)


def evidence(found: Found) -> str:
    """Return a digest of the passages found and of the confidence level in them.

    Order and scores of the passages do not count: both shift slightly with every added document.
    """
    passages = sorted(f"{one.document_id}\x1f{one.place}\x1f{one.text}" for one in found.passages)
    level = "none" if found.confidence < found.decline_below else "weak" if found.confidence < found.weak_below else ""
    return hashlib.sha256("\x1e".join((level, *passages)).encode()).hexdigest()


def lifetime(question: str, answer: str, cited: Sequence[Citation]) -> CacheLifetime:
    """Return "hour" if the answer may be time-sensitive, or "stable" if it is valid until its documents change.

    These are time-sensitive: questions about the current state, answers that refer to the present, answers that cite
    chat messages, and answers without citations.
    """
    if not cited or any(one.source.startswith(CHAT) for one in cited):
        return "hour"
    return "hour" if _TIME_SENSITIVE_QUESTION.search(question) or _TIME_SENSITIVE_ANSWER.search(answer) else "stable"
