"""What the playground itself says to people."""

from __future__ import annotations

from bot.types.turns import TurnState

HOST = "This page is served to {allowed} only. Open it under one of these addresses."
ORIGIN = "This request did not come from the playground's own page, so it was not carried out. Reload the page."
TOO_LARGE = "That is larger than {limit}. Send less, or raise PARLEY_MAX_FILE_MB for files."
NOT_JSON = "The request is not the JSON the playground sends. Reload the page."
NO_SUCH_ACTION = "There is no such button."
NO_FILE = "Choose a file to upload; this one is empty."
BAD_THREAD = "That is no conversation of the playground. Start one with 'New conversation'."
GONE_FILE = "This file is no longer kept. Run the command again."
GONE_BESIDE = "A file beside your question is no longer here. Take it away and attach it again."
NOT_KEPT = "it is not kept here any more; attach it again"
TOO_MANY_FILES = "At most {most} files go with one question. Take some away."
TRACE = "Something went wrong on our side; the log has it under {trace}. Try again."
NOT_READY = "The database cannot be reached. Start it, or correct DATABASE_URL."
WORKING = "Working on it …"

_ENDED: dict[TurnState, str] = {
    "queued": "Your question waits until the one before it is answered.",
    "running": "Another process is answering this.",
    "cancelled": "Stopped.",
    "failed": "This could not be answered. Ask again.",
    "refused": "This was not answered.",
    "done": "There is no answer to show. Ask again.",
}
ELSEWHERE = "_Being answered by another process; the answer appears here when it is complete._"


def ended(state: TurnState, refused: str | None) -> str:
    """A sentence for a turn that ended and showed nothing."""
    return refused or _ENDED[state]
