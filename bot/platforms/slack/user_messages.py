"""All texts of the bot for people in Slack, in its install pages and in its app manifest.

Texts of ``parley doctor`` and startup errors are for the operator. They are next to the check that reports them.
"""

from __future__ import annotations

from bot.types.display import Action

# --- answers

LABELS: dict[Action, str] = {
    "stop": "Stop",
    "again": "Ask again",
    "strong": "Stronger model",
    "up": "👍",
    "down": "👎",
    "why": "Why?",
    "sources": "Sources",
}

HINTS: dict[Action, str] = {
    "stop": "Stop this answer",
    "again": "Ask this question again",
    "strong": "Ask again with the stronger model",
    "up": "This answer helped",
    "down": "This answer did not help",
    "why": "Show how this answer was made",
    "sources": "Show the sources of this answer with the quoted passages",
}

PENDING = "…"
TRUNCATED = "\n\n_This message is too long for Slack. The attached file has the full text._"
THANKS = "Thanks for the feedback."
REASON_TITLE = "What was wrong?"
REASON_LABEL = "What should the answer have said?"
REASON_SUBMIT = "Send"
REASON_CLOSE = "Skip"
OUTDATED_BUTTON = "This button is out of date. Ask your question again."


def page_number(page: str) -> str:
    """Return the page of a source."""
    return f"page {page}"


def hidden_sources(count: int) -> str:
    """Return the line below a truncated list of sources."""
    return f"and {count} more {'source' if count == 1 else 'sources'}"


def hidden_rows(count: int) -> str:
    """Return the line below a truncated table."""
    return f"{count} more {'row is' if count == 1 else 'rows are'} in the file."


# --- commands

WORKING = "Working on it…"
PROGRESS_IN_DIRECT_MESSAGE = "Working on it. You can follow the progress in our direct messages."
INTERRUPTED = "I was restarted before this finished. Please run it again."
NOT_STORED = "I cannot save your message right now. I will try again within a few minutes."
NOT_INSTALLED = "Parley is no longer installed in this workspace. Install it again."
STOP_INGEST = "Stop"


NOT_SHOWN = "Slack does not show the reply of your command. Run it again, or ask an admin to look at the log."


def files_not_uploaded(reason: object) -> str:
    """Return the note to the user if Slack does not take the files of a reply."""
    return f"Slack did not take the file of this reply. {reason} Ask for less, or run the command in the terminal."


def uploaded_to_direct_message(count: int) -> str:
    """Return the note that says where the files of a private reply are."""
    return f"The {'file is' if count == 1 else 'files are'} in our direct messages."


def internal_error(trace_id: str) -> str:
    """Return the reply to an unexpected failure; ``trace_id`` finds it in the log."""
    return f"Something went wrong. Please try again. If it happens again, give your admin the trace ID {trace_id}."


# --- message shortcuts

SHARE = "Share with the channel"
ABOUT_MENU = "Ask Parley about this"
ABOUT_MENU_DESCRIPTION = "Only you see the answer"
ABOUT_TITLE = "Ask about this message"
ABOUT_LABEL = "Your question"
ABOUT_SUBMIT = "Ask"
ABOUT_CLOSE = "Cancel"
FORGET_MENU = "Forget this"
FORGET_MENU_DESCRIPTION = "Deletes a question and its answer"
FORGOTTEN = "Deleted the question, its answer and everything derived from them. Cost records are kept, as numbers only."
NOT_YOURS_TO_FORGET = "Only the asker or an admin can delete this."
NOTHING_TO_FORGET = (
    "There is nothing to delete for this message. Choose a question that someone asked me, or one of my answers."
)

# --- attached files


def file_not_in_slack(name: str) -> str:
    """Return the refusal of a file that is stored outside Slack."""
    return f"{name} is not stored in Slack. Upload the file itself."


def file_too_large(name: str, megabytes: int) -> str:
    """Return the refusal of a file above the size limit."""
    return f"{name} is larger than {megabytes} MB. Share a smaller file."


def download_failed(name: str) -> str:
    """Return the message for a download that failed."""
    return f"I could not download {name} from Slack. Please upload it again."


def download_refused(name: str, status: int) -> str:
    """Return the message for a download that Slack refused with an HTTP status."""
    return f"I could not download {name} (Slack returned {status}). Please upload it again."


def download_not_permitted(name: str) -> str:
    """Return the message for a download without the scope for it."""
    return f"I may not read {name}. Ask an admin to add the scope files:read to the Slack app and to reinstall it."


def file_not_given(name: str, code: str) -> str:
    """Return the message for a file that Slack does not describe to the app, with Slack's error code."""
    return f"Slack does not let me read {name} ({code}). Upload it here again, or paste its text."


def no_transcript(name: str) -> str:
    """Return the message for a voice or video clip without a transcript."""
    return f"Slack has no transcript of {name}. Write down what it says, or send it again later."


VOICE_CLIP = "Answer what I say in this voice clip."
FILES_NOT_READABLE = "I cannot read files here."

# --- channels as documents

NO_DIRECT_MESSAGES = "Direct messages cannot be added."
NOT_A_MEMBER = "You are not in that channel, so you cannot add it."
INVITE_ME = "I am not in that channel. Invite me there with /invite, then try again."
CHANNEL_NOT_FOUND = (
    "There is no such channel, or it is private and I am not in it. "
    "If it is private, invite me there with /invite, then try again."
)
STILL_RATE_LIMITED = "Slack still limits my requests. Refresh the channel later. It continues where it stopped."


def invite_me_to(channel: str) -> str:
    """Return the message for a channel that the bot is not in."""
    return f"I am not in #{channel}. Invite me there with /invite, then try again."


def missing_scope(scope: str) -> str:
    """Return the message for a call without the scope that it needs; ``scope`` is empty if Slack does not name it."""
    return (
        f"The Slack app lacks {scope or 'a permission'}. Run `parley manifest slack`, update the app with its output, "
        "and reinstall the app."
    )


# --- errors of the Slack API

RATE_LIMITED = "Slack limits my requests right now. Try again in a moment."
NO_MESSAGE_ID = "Slack accepted the message but did not return its ID. Try again."

GONE = {
    "message_not_found": "the message was deleted",
    "thread_not_found": "the thread was deleted",
    "channel_not_found": "the channel does not exist, or the bot was never in it",
    "is_archived": "the channel is archived",
    "not_in_channel": "the bot is not in the channel. Invite it with /invite",
    "restricted_action": "the workspace does not allow the bot to post there",
    "restricted_action_read_only_channel": "the channel is read-only",
    "restricted_action_non_threadable_channel": "the channel does not allow threads",
    "restricted_action_thread_locked": "the thread is locked",
    "restricted_action_thread_only_channel": "the channel allows posts in threads only",
    "no_permission": "the bot has no permission to post there",
    "posting_to_channel_denied": "the bot has no permission to post there",
    "cannot_reply_to_message": "this message takes no replies",
    "is_inactive": "the channel is frozen, archived or deleted",
    "ekm_access_denied": "the admins have suspended posting",
    "message_limit_exceeded": "the workspace has reached its limit of messages",
    "messages_tab_disabled": "direct messages to the app are off. Update the app with `parley manifest slack`",
    "user_not_in_channel": "the user is not in the channel",
    "token_revoked": "the bot token was revoked. Reinstall the app",
    "token_expired": "the bot token has expired. Reinstall the app",
    "account_inactive": "the app was removed from the workspace. Reinstall it",
    "invalid_auth": "Slack does not accept SLACK_BOT_TOKEN. Copy it again from 'OAuth & Permissions'",
    "not_authed": "Slack received no token. Set SLACK_BOT_TOKEN",
    "team_access_not_granted": "the app has no access to this workspace. Install it there",
    "app_access_restricted": "the admins do not allow the app. Ask them to approve it",
    "enterprise_is_restricted": "the organization does not allow the app. Ask its admins to approve it",
    "org_login_required": "the organization is being moved by Slack. Try again after that",
}
"""Slack error codes after which nothing can be shown in that place any more, with their reasons."""

CURES = {
    "channel_not_found": "Invite me to the channel with /invite, then ask again.",
    "not_in_channel": "Then ask again.",
    "is_archived": "Ask in a channel that is not archived, or unarchive it.",
    "no_permission": "Ask an admin of the workspace to let apps post there, or ask me here.",
    "restricted_action": "Ask an admin of the workspace to let apps post there, or ask me here.",
    "restricted_action_read_only_channel": "Ask an admin of the channel to let me post there, or ask me here.",
    "restricted_action_non_threadable_channel": "Threads are off there. Ask in another channel, or ask me here.",
    "restricted_action_thread_locked": "Ask in another thread, or ask an admin to unlock it.",
    "restricted_action_thread_only_channel": "Ask in a thread of that channel, or ask me here.",
    "posting_to_channel_denied": "Ask an admin of the channel to let me post there, or ask me here.",
    "cannot_reply_to_message": "Ask in a message of its own, or ask me here.",
    "is_inactive": "Ask in another channel, or ask me here.",
    "ekm_access_denied": "Ask again when they allow it.",
    "message_limit_exceeded": "Ask again later, or ask an admin about the plan.",
}
"""What an asker can do if the bot may not post where they asked, by Slack error code."""

REFUSED = {
    "missing_scope": "the app lacks a permission. Run `parley doctor`, then reinstall the app",
}
"""Other Slack error codes with their reasons."""

EDIT_REFUSED = {
    "cant_update_message": "the message belongs to another user",
    "edit_window_closed": "the workspace no longer allows editing the message",
    "compliance_exports_prevent_deletion": "the workspace keeps the message for its exports",
    "block_mismatch": "the message cannot be given another layout",
    "cant_broadcast_message": "a message that was also sent to the channel cannot be edited",
    "no_dual_broadcast_content_update": "a message that was also sent to the channel cannot be edited",
}
"""Slack error codes after which a message stays as it is, with their reasons."""

LAYOUT_REFUSED = {
    "msg_too_long": "the text is too long for a Slack message",
    "msg_blocks_too_long": "the text is too long for a Slack message",
    "invalid_blocks": "Slack does not accept the layout of the message",
    "invalid_blocks_format": "Slack does not accept the layout of the message",
    "invalid_attachments": "Slack does not accept the layout of the message",
    "invalid_chunks": "Slack does not accept the layout of the message",
    "invalid_metadata_format": "Slack does not accept the layout of the message",
    "invalid_metadata_schema": "Slack does not accept the layout of the message",
    "metadata_too_large": "Slack does not accept the layout of the message",
    "attachment_payload_limit_exceeded": "the message has too many parts",
    "msg_blocks_too_many": "the message has too many parts",
    "too_many_attachments": "the message has too many parts",
    "too_many_contact_cards": "the message has too many parts",
    "slack_connect_canvas_sharing_blocked": "the message has a link that may not be shared in this channel",
    "slack_connect_file_link_sharing_blocked": "the message has a link that may not be shared in this channel",
    "slack_connect_lists_sharing_blocked": "the message has a link that may not be shared in this channel",
    "no_text": "the message is empty",
}
"""Slack error codes that every repetition of the same message gets, with their reasons."""

_UNKNOWN_REASON = "Slack names no reason that I know. Try again"


def message_gone(code: str) -> str:
    """Return the message for an error code in ``GONE``."""
    return f"Slack cannot show this ({code}): {GONE[code]}."


def cannot_answer_in(channel_id: str, code: str) -> str:
    """Return the direct message to an asker whom the bot cannot answer where they asked; ``code`` is in ``CURES``."""
    return f"I cannot answer you in <#{channel_id}>: {GONE[code]}. {CURES[code]}"


def call_refused(code: str) -> str:
    """Return the message for any other error code."""
    reasons = {**REFUSED, **EDIT_REFUSED, **LAYOUT_REFUSED}
    return f"Slack refused this ({code}): {reasons.get(code, _UNKNOWN_REASON)}."


def history_refused(code: str) -> str:
    """Return the message for an error code while reading a channel's history."""
    return f"Slack refused this ({code}): {GONE.get(code, _UNKNOWN_REASON)}."


def unreachable(error: Exception, remedy: str) -> str:
    """Return the message for a call that Slack did not answer; ``remedy`` is a sentence that says what to do."""
    return f"Slack cannot be reached ({type(error).__name__}). {remedy}"


def not_deleted(code: str) -> str:
    """Return the message for a message that Slack does not delete."""
    return f"Slack did not delete a message ({code})."


# --- installation in a workspace

APP_REMOVED = "Parley is not installed in this Slack workspace. Install it again."
TOKEN_RENEWAL_RUNNING = "The Slack token of this workspace is being renewed. Try again."  # noqa: S105

INSTALL_NEXT_STEP = "Write <code>/invite @Parley</code> in a channel, then ask it something."
INSTALL_OPEN_SLACK = "Open Slack"
INSTALL_FAILED = "Parley was not installed"
INSTALL_START_AGAIN = "Start again"
WRONG_BROWSER = "The installation did not start in this browser. Start again."
INSTALL_EXPIRED = "This installation took longer than ten minutes, or is already complete. Start again."
INSTALL_DENIED = "You did not allow the app, so nothing was installed."
NO_BOT_TOKEN = "Slack returned no bot token. Start again."  # noqa: S105
WORKSPACE_NOT_SERVED = "This Parley does not serve your workspace. Ask its operator to add it."


def installed_in(workspace: str) -> str:
    """Return the title of the page after an installation; ``workspace`` may be empty."""
    return f"Parley is installed in {workspace}" if workspace else "Parley is installed"


def install_refused(code: str) -> str:
    """Return the reason for an installation that Slack refused."""
    return f"Slack did not allow the installation ({code or 'no code'}). Start again."


def install_not_finished(code: str) -> str:
    """Return the reason for an installation that failed while exchanging the code for tokens."""
    return f"Slack did not finish the installation ({code}). Start again."


def token_not_renewed(code: str) -> str:
    """Return the message for a token that Slack will never renew."""
    return f"Slack does not renew the token of this workspace ({code}). Install the app again."


# --- app manifest

APP_DESCRIPTION = "Answers from your team's own documents, with sources."
APP_LONG_DESCRIPTION = (
    "Mention Parley in a channel or send it a direct message. It answers in a thread from the documents that your team "
    "added, with numbered sources whose quotes you can check. Ask follow-up questions in the same thread, stop an "
    "answer, ask again with the stronger model, or ask why. Add documents with /ingest, see the costs with /costs and "
    "your budget with /budget."
)
PROMPT_TOPICS_TITLE = "What do you know?"
PROMPT_TOPICS = "Which topics do your documents cover?"
PROMPT_HELP_TITLE = "How do I use you?"
PARLEY_COMMAND_DESCRIPTION = "Everything Parley can do"
