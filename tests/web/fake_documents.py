"""Provides the documents of the scripted playground, and what an empty page offers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bot.errors import UsageError
from bot.platforms.web import user_messages
from bot.platforms.web.document_pictures import PagesView
from bot.platforms.web.document_viewer import DocumentView, view_of
from bot.platforms.web.welcome import Welcome
from bot.types.conversation import Author
from bot.types.display import Citation
from knowledge.store.document_windows import PageStart, Window

SOURCES = (
    Citation(
        1,
        "handbook/expenses-and-travel.md",
        "Expenses and travel",
        "| London, Zurich, Copenhagen | 220 EUR |",
        document_id="11111111-1111-1111-1111-111111111111",
        heading=("Expenses and travel", "Hotels"),
    ),
    Citation(
        2,
        "https://handbook.example/travel-2024",
        "Travel policy 2024",
        "The limit was 160 EUR per night in every city, breakfast included.",
        heading=("1. Hotels",),
        page=1,
    ),
)
QUESTIONS = ("What is the limit?", "Who is on call?", "When is pay day?")


@dataclass
class ScriptedWelcome:
    """Offers what a test sets."""

    offered: Welcome = Welcome(QUESTIONS, 3, False)
    admins: list[bool] = field(default_factory=list)

    async def read(self, *, admin: bool) -> Welcome:
        self.admins.append(admin)
        return self.offered if admin else replace(self.offered, steps=())

    async def aclose(self) -> None:
        """Do nothing."""


TRAVEL = "11111111-1111-1111-1111-111111111111"
"""The document that the first source is from."""


class NoPages:
    """No document has pages."""

    async def layouts(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, first: int | None = None
    ) -> PagesView:
        raise UsageError(user_messages.NO_PAGES)

    async def picture(self, document_id: str, author: Author, page: int) -> bytes:
        raise UsageError(user_messages.NO_PAGES)

    async def aclose(self) -> None:
        """Do nothing."""


class ScriptedDocuments:
    """One document, which everybody may read."""

    async def view(
        self, document_id: str, author: Author, *, quote: str = "", start: int = 0, at: int | None = None
    ) -> DocumentView:
        if document_id != TRAVEL:
            raise UsageError(user_messages.DOCUMENT_GONE)
        lines = [f"Line {number} of the rules for journeys, which is as long as lines are." for number in range(400)]
        text = "\n\n".join(["# Expenses and travel", *lines, "## Hotels", SOURCES[0].quote, *lines])
        before = text.index(SOURCES[0].quote)
        window = Window(
            document_id, SOURCES[0].title, SOURCES[0].source, datetime.now(UTC), 2 * len(text), 0, text,
            before if quote == SOURCES[0].quote else None, (PageStart(0, 1), PageStart(before - 12, 2)),
        )  # fmt: skip
        return view_of(window, quote)
