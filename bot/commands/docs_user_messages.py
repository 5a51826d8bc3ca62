"""Text about documents for users: the list, previews, deletion and refreshing with ``/docs``."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands.user_messages import number

NO_DOCUMENTS = "No documents yet. Add some with /ingest."
ACCEPT_REMOVALS_ADMIN = "Only an admin can approve a refresh that removes many documents."
NOT_HELD_BACK = "This source is no longer held back, so there is nothing to remove."
REFRESH_ADMIN = "Only an admin can change how often a source is refreshed."
DELETE_ADMIN = "Only the person who added this document, or an admin, can delete it. Ask an admin to delete it."


def documents(total: int, *, first: int, last: int, page: int) -> str:
    """Return the line above a page of the list of documents, which shows those from ``first`` to ``last``."""
    if last < first:
        return f"{number(total, 'document')}, but none on page {page}. Write /docs list to see the first page."
    if last - first + 1 == total:
        return f"{number(total, 'document')}."
    following = f" /docs list page {page + 1} shows the next ones." if last < total else ""
    return f"{total:,} documents. These are {first:,} to {last:,}.{following} Narrow the list with /docs list TEXT."


def no_match(text: str) -> str:
    return f"No document matches “{text}”."


def other_language(percent: int, language: str, model: str) -> str:
    return (
        f"{percent} % of your documents are {language}, and the embedding model knows English best. "
        f'To find them better, run: pip install "parley[multilingual]", and set PARLEY_EMBEDDING_MODEL={model}.'
    )


def deleted(title: str) -> str:
    return f"Deleted {title}."


PREVIEW_NEEDS_FILE = "Attach a file to see what I read of it, without adding it."


def preview(name: str, title: str, form: str, blocks: int, warnings: Sequence[str]) -> str:
    """Return the heading of a preview: what was read of a file, and what was left out."""
    heading = f"**{name}**: {title} ({form}, {number(blocks, 'block')}). Nothing was stored."
    return "\n".join([heading, *(f"- {warning}" for warning in warnings)])


def rest_in_file(chars: int, file: str) -> str:
    """Return the line that says that the file of the reply has the whole text."""
    return f"This is the beginning. The whole text, {chars:,} characters, is in {file}."


def no_preview(name: str, error: str) -> str:
    return f"**{name}**: {error}."


def held_back(uri: str, reason: str) -> str:
    """Return the notice about a source whose last reading was held back."""
    return f"**{uri}**: {reason} If this is right, an admin can approve the removals."


def is_held_back(uri: str, reason: str) -> str:
    """Return the line about a source that is held back, below the number of documents."""
    return f"**{uri}** is held back: {reason} If this is right, an admin can write /docs refresh ID --accept-removals."


ACCEPT_REMOVALS = "Approve removals"
HOW_TO_ACCEPT = (
    "In the server, write /docs refresh ID --accept-removals. The ID is that of any document of this source."
)


SAVE_ANSWER = "Save to the documents"
SAVE_ADMIN = "Only admins can save answers to the documents."
NOTHING_TO_SAVE = "There is no complete answer to save. Name an answer that was not refused or stopped."
SAVED_ANSWER_NOTE = "This is an answer of Parley that an admin saved."


def save_proposal(name: str, question: str, answer: str) -> str:
    """Return the notice to admins that a person proposes to save an answer."""
    return f"{name} proposes to save this answer to the documents of its channel.\n\n**{question}**\n\n{answer}"


def how_to_save(answer_id: str) -> str:
    """Return how to save an answer without the button of the notice."""
    return f"To save it, write /docs save {answer_id} in the server."


def saved_answer_name(answer_id: str) -> str:
    """Return the file name of a saved answer."""
    return f"answer-{answer_id}.md"


def unknown_document(document_id: str) -> str:
    return f"No document in this channel has the ID {document_id}. /docs lists the documents."


def uploaded_source(uri: str) -> str:
    return f"{uri} was uploaded, so it cannot be fetched again. Upload the file again."


def skipped_uploads(count: int) -> str:
    return f"{number(count, 'uploaded file')} cannot be fetched again. Upload the files that changed."


def refresh_interval(uri: str, period: str, seconds: int | None) -> str:
    """Return how often a source is refreshed; ``seconds`` is None for the default and 0 for never."""
    if seconds is None:
        return f"{uri} is refreshed at the default interval (PARLEY_REFRESH_HOURS)."
    return f"{uri} is refreshed every {period}." if seconds else f"{uri} is not refreshed automatically."
