"""Defines every text that the playground's server shows to people."""

from __future__ import annotations

from bot.types.turns import TurnState

HOST = "This page is only available at {allowed}. Open it under one of these addresses."
ORIGIN = "This request did not come from the playground page, so it was refused. Reload the page and try again."
FORWARDED = (
    "A proxy forwarded this request, but the page has no sign-in. Set PARLEY_WEB_URL and a sign-in, such as "
    "PARLEY_WEB_TOKEN. See docs/web-access.md."
)
TOO_LARGE = "That is larger than {limit}. Send less, or raise PARLEY_MAX_FILE_MB for files."
NOT_JSON = "The server could not read this request. Reload the page and try again."
NO_SUCH_ACTION = "There is no such button. Reload the page."
NO_TITLE = "Write a title for the conversation."
OTHERS_LEFT = "Your questions are deleted. Only their askers or an admin can delete the others."
NO_BRANCH = "This question cannot begin a branch. Reload the page and try again."
EMPTY_BRANCH = "Write a question to ask in the branch."
DOCUMENT_GONE = "This document is not available. It was deleted, or you may not read it."
NO_PAGES = "The pages of this document cannot be shown as pictures. Read its text instead."
NO_FILE = "This file is empty. Choose another file."
BAD_THREAD = "There is no such conversation. Start one with “New conversation”."
COMMAND_FILE_EXPIRED = "This file is no longer available. Run the command again."
ATTACHMENT_EXPIRED = "A file attached to your question is no longer available. Remove it and attach it again."
ATTACHMENT_UNREADABLE = "it is no longer available. Attach it again"
FILE_NOT_STORED = "The file of this reply could not be stored. Run the command again."
TOO_MANY_FILES = "You can attach at most {most} files to a question. Remove some of them."
UNEXPECTED_ERROR = "Something went wrong. Try again. The log has the details under trace ID {trace}."
NOT_READY_FOR_OUTSIDERS = "not ready"
NOT_READY = "The database is not reachable. Start it, or correct DATABASE_URL."
CODE = "Code"
TASK = "Task"
COPY_CODE = "Copy"
WORKING = "Working on it…"
COMMAND_INTERRUPTED = "The server restarted before this command reported its result. Run the command again."
EMPTY_TABLE = "nothing yet"
ANSWERED_BY_OTHER_PROCESS = "_Another process is answering this question. The answer appears here when it is complete._"

BAD_PORT = "Port {port} does not exist. Choose one up to 65535 with --port."
BAD_HOST = "Cannot listen on {host}: {reason}. Choose another host with --host."
PORT_TAKEN = "Port {port} is taken. Choose another with --port."
PORT_NOT_PERMITTED = "This process is not permitted to use port {port}. Choose one above 1023 with --port."
CANNOT_LISTEN = "Cannot listen on {host} port {port}: {reason}. Choose others with --host and --port."

MODEL_STEP_DONE = "A model writes the answers."
MODEL_STEP_CHECKING = "Checking the key and the models…"
MODEL_STEP = (
    "Set ANTHROPIC_API_KEY or OPENAI_API_KEY in .env and start Parley again. Without a model, answers are quotes from "
    "the documents."
)
CHAT_STEP = "Set the tokens of Slack or Discord in .env and start Parley again. See docs/slack.md and docs/discord.md."

_NO_REPLY: dict[TurnState, str] = {
    "queued": "Your question is waiting for the one before it.",
    "running": "Another process is answering this question.",
    "cancelled": "Stopped.",
    "failed": "Something went wrong, and there is no answer. Ask again.",
    "refused": "This question was not answered.",
    "done": "There is no answer to show. Ask again.",
}


def model_fails(name: str, problem: str, fix: str) -> str:
    """Return why a configured model gives no answers, and what to do."""
    sentences = f"{name[:1].upper()}{name[1:]}: {problem}. {fix}".strip()
    return f"{sentences} Parley checks again every minute. A change in .env takes effect when Parley starts again."


def documents_step(count: int) -> str:
    """Return how many documents can be searched, or how to add some."""
    if not count:
        return "Drop files on this page, or paste a web address below."
    return f"{count:,} document{'' if count == 1 else 's'} can be searched."


def chat_part(part: str, reason: str | None) -> str:
    """Return the state of a chat platform. ``reason`` says why it does not work yet; None if it works."""
    name = part.capitalize()
    return f"{name} is connected." if reason is None else f"{name}: {reason}"


def question_about(title: str, heading: str) -> str:
    """Return a question about a document, and about one of its headings if that is not empty."""
    return f"What does “{title}” say about “{heading}”?" if heading else f"What does “{title}” say?"


def origin(address: str) -> str:
    """Return the refusal of a request from another site, if the page has a public address."""
    return f"This request did not come from the page at {address}, so it was refused. Open {address} and try again."


def no_reply(state: TurnState, refusal: str | None) -> str:
    """Return the text to show for a turn that has no reply message: its refusal, or a sentence for its state."""
    return refusal or _NO_REPLY[state]
