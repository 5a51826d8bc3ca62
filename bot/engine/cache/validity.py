"""What a kept answer rests on, whether it still does, and for how long it may be given at all. Pure.

An answer is made from the passages that its question finds. As long as the question finds the same ones, a new answer
would be made from the same ground: whatever else was taken in or changed meanwhile does not touch it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from bot.types.answer_cache import CacheLifetime
from bot.types.display import Citation
from knowledge.types import Found

CHAT = ("slack:", "discord:")
"""Sources that are people's talk: what they say is true of the hour."""

_OF_THE_HOUR = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|currently|current|presently|at the moment|at present|"
    r"right away|still|yet|already|so far|as of|lately|recent|recently|latest|newest|last|next|this|these days|"
    r"status|progress|state|ongoing|open|pending|available|on call|on duty|up to date|how long (?:until|till)|"
    r"heute|morgen|gestern|jetzt|derzeit|zurzeit|zur zeit|momentan|aktuell\w*|gerade|noch|schon|bereits|bisher|"
    r"neueste\w*|letzte\w*|nächste\w*|diese\w*|stand|offen\w*|bereitschaft)\b",
    re.IGNORECASE,
)
_SAID_OF_THE_HOUR = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|currently|at the moment|at present|right now|as of|so far|not yet|"
    r"this (?:week|month|quarter|year)|(?:last|next) (?:week|month|quarter|year)|"
    r"heute|gestern|derzeit|zurzeit|momentan|aktuell|bisher|noch nicht|diese[nrsm]? (?:woche|monat|jahr|quartal))\b",
    re.IGNORECASE,
)


def evidence(found: Found) -> str:
    """A digest of what a question finds: equal where a reader would be given the same passages, equally trusted.

    Their order and scores do not count: both move a little with every document, and say nothing else of the answer.
    """
    passages = sorted(f"{one.document_id}\x1f{one.place}\x1f{one.text}" for one in found.passages)
    trusted = (
        "none" if found.confidence < found.decline_below else "weak" if found.confidence < found.weak_below else ""
    )
    return hashlib.sha256("\x1e".join((trusted, *passages)).encode()).hexdigest()


def lasting(question: str, answer: str, cited: Sequence[Citation]) -> CacheLifetime:
    """Whether an answer is of the hour, or stands as long as its documents do; in doubt it is of the hour.

    Of the hour: a question for what is so now, an answer that says so, one from people's talk, one that cites nothing.
    """
    if not cited or any(one.source.startswith(CHAT) for one in cited):
        return "hour"
    return "hour" if _OF_THE_HOUR.search(question) or _SAID_OF_THE_HOUR.search(answer) else "stable"
