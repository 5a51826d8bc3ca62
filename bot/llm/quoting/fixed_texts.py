"""The fixed texts around quotes, in English and in the languages of ``fixed_texts.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from pathlib import Path

from bot.llm import user_messages
from knowledge.text.language_detection import first_detected

_FILE = Path(__file__).with_name("fixed_texts.json")


@dataclass(frozen=True, slots=True)
class FixedTexts:
    """The texts of one language. Those of an outage replace the first four. ``date`` is a format of ``strftime``.

    Those without a usable model are for an outage that lasts until an admin corrects the setup.
    """

    intro: str
    image: str
    nothing: str
    overview: str
    outage_intro: str
    outage_image: str
    outage_nothing: str
    outage_overview: str
    no_usable_model_intro: str
    no_usable_model_nothing: str
    fact_saved: str
    said_in_thread: str
    thanks: str
    greeting: str
    about_the_bot: str
    date: str

    def small_talk(self, kind: str) -> str:
        """Return the reply to small talk of a kind: "thanks", "greeting" or "about the bot"."""
        return {"thanks": self.thanks, "greeting": self.greeting, "about the bot": self.about_the_bot}[kind]


ENGLISH = FixedTexts(
    intro=user_messages.EXTRACTIVE_INTRO,
    image=user_messages.CANNOT_SEE_IMAGE,
    nothing=user_messages.NOTHING_FOUND,
    overview=user_messages.OVERVIEW_INTRO,
    outage_intro=user_messages.OUTAGE_INTRO,
    outage_image=user_messages.IMAGE_IN_OUTAGE,
    outage_nothing=user_messages.NOTHING_FOUND_IN_OUTAGE,
    outage_overview=user_messages.OVERVIEW_IN_OUTAGE,
    no_usable_model_intro=user_messages.NO_USABLE_MODEL_INTRO,
    no_usable_model_nothing=user_messages.NOTHING_FOUND_WITHOUT_USABLE_MODEL,
    fact_saved=user_messages.FACT_SAVED,
    said_in_thread=user_messages.SAID_IN_THREAD,
    thanks=user_messages.SMALL_TALK["thanks"],
    greeting=user_messages.SMALL_TALK["greeting"],
    about_the_bot=user_messages.SMALL_TALK["about the bot"],
    date="%d %B %Y",
)


@lru_cache(maxsize=1)
def translations() -> Mapping[str, FixedTexts]:
    """Return the texts of each language but English, by ISO 639-1 code."""
    stored = json.loads(_FILE.read_text(encoding="utf-8"))
    return {language: FixedTexts(**texts) for language, texts in stored.items()}


def texts_for(question: str, earlier: Sequence[str] = ()) -> FixedTexts:
    """Return the texts in the language of the question.

    If the question does not tell its language, the ``earlier`` ones decide, the latest first. English otherwise.
    """
    return translations().get(first_detected([question, *reversed(earlier)]), ENGLISH)


@lru_cache(maxsize=1)
def all_texts() -> tuple[str, ...]:
    """Return the texts of all languages, longest first."""
    everything = {text for one in (ENGLISH, *translations().values()) for text in astuple(one)}
    return tuple(sorted(everything, key=len, reverse=True))
