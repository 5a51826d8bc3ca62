"""All texts of the bot for Discord users and for operators of the Discord connection.

The descriptions of slash commands and their options are in ``command_options``, next to the options they describe.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.types.display import Action

MAX_NAMED_CHANNELS = 10
"""Number of channels listed by name in one line."""

# --- buttons and menus

LABELS: dict[Action, str] = {
    "stop": "Stop",
    "again": "Ask again",
    "strong": "Stronger model",
    "up": "👍",
    "down": "👎",
    "why": "Why?",
    "sources": "Sources",
}
SHARE = "Share with the channel"
STOP_INGESTION = "Stop"
ABOUT_MENU = "Ask Parley about this"
FORGET_MENU = "Forget this"

# --- answers

SOURCES = "Sources"
DEFAULT_THREAD_NAME = "Question"
FULL_TEXT = "... (the rest is in the file)"


def rows_left_out(count: int, total: int, file: str) -> str:
    """Return the line below a table that is not shown in full; ``file`` has all of its rows."""
    return f"{count:,} of {total:,} rows are left out here. {file} has all of them."


# --- questions that cannot be answered now

TOO_FAST = (
    "You are sending messages faster than I can answer in one conversation. I ignore further messages here until "
    "you slow down. Programs should use the command line instead."
)
NOT_STORED_YET = (
    "I cannot save your message right now. I keep trying for a few minutes, so you don't need to send it again."
)

# --- feedback

THANKS_UP = "Thanks for the feedback."
THANKS_DOWN = "Thanks. I saved your reason for the people who maintain the documents."
REASON_TITLE = "What was wrong with the answer?"
REASON_LABEL = "Reason"
REASON_HINT = "Wrong, out of date, not what I asked, a source is missing ..."

# --- private and shared replies

SENT_PRIVATELY = "I sent you the answer as a direct message."
DM_CLOSED = (
    "The answer is only for you, but you do not accept direct messages from members of this server. "
    "Allow them, or use the slash command instead."
)
FILES_LEFT_OUT = "_Discord did not take the file of this reply. Ask for less, or run the command in the terminal._"
NO_CHANNEL = "I cannot find the channel of this command. Run it again."
SHARED = "Done. The answer is in the channel."
NOTHING_TO_SHARE = "This message contains no answer to share. Ask again."

# --- questions about a message, and deletion

ABOUT_TITLE = "Ask about this message"
ABOUT_LABEL = "Your question"
ABOUT_MESSAGE = "The message"
FORGOTTEN = "Deleted the question, its answer and everything derived from them. Cost records are kept, as numbers only."
NOTHING_TO_FORGET = (
    "There is nothing to delete for this message. "
    "Choose a question that somebody asked me, or the last message of my answer."
)

# --- slash commands

COMMANDS_CHANGED = "My commands have changed. Reload Discord (Ctrl+R) and try again."
UNREADABLE_OPTION = "I cannot read one of the options. Choose it again from the list that Discord shows."
ALL_FACTS = "all facts"
ALL_SOURCES = "all sources"
LIMIT_SUBJECT_MISSING = "Choose whose limit to set: exactly one of person, channel and whose."

# --- files and channels

ATTACHMENT_GONE = "it is no longer attached to the message"
CHANNEL_NOT_READABLE = (
    "I have no permission to read that channel. Give me View Channel and Read Message History in it, then try again."
)
CHANNEL_UNKNOWN = "There is no such channel, or I am not on its server."
CHANNEL_OUTSIDE_SERVER = f"{CHANNEL_UNKNOWN} Run the command on the server itself."
CHANNEL_WITHOUT_MESSAGES = "That is not a channel with messages. Choose a text channel or a forum."
CHANNEL_IS_A_THREAD = "That is a thread. Choose its channel instead: all its threads are added with it."
CHANNEL_ON_OTHER_SERVER = "That channel is on another server. Run the command there."
HISTORY_NOT_READABLE_BY_YOU = "You may not read the history of this channel, so I cannot summarize it for you."
CHANNEL_NOT_READABLE_BY_YOU = "You have no permission to read that channel, so you cannot add its messages."

# --- errors of the connection, for operators

LOGIN_MISSING = (
    "DISCORD_TOKEN is not set. Copy the bot's token from the Discord Developer Portal (your application > Bot)."
)
LOGIN_REFUSED = (
    "DISCORD_TOKEN is not accepted by Discord. In the Developer Portal open your application > Bot, "
    "press Reset Token and put the new token into DISCORD_TOKEN."
)
NO_INTENT = (
    "Without the Message Content Intent the bot receives only mentions and direct messages: it cannot answer "
    "follow-ups in threads or messages that do not mention it. In the Developer Portal open your application > Bot, "
    "turn on MESSAGE CONTENT INTENT, save, and start the bot again."
)
NO_GATEWAY = "it names no gateway"
NOT_DISCORD = "its response is not Discord's"
RATE_LIMITED = "Discord limits my requests right now. Try again in a moment."
REASONS_GONE: dict[int, str] = {
    10003: "the channel or thread no longer exists",
    10004: "the bot is no longer on this server",
    10008: "the message was deleted",
    40058: "messages cannot be written there. Ask in a post of the forum",
    50009: "the bot does not meet the verification level of the server",
    50001: "the bot cannot see this channel. Give it View Channel there",
    50007: "this person does not accept direct messages from the bot",
    50278: "this person shares no server with the bot any more",
    50013: "the bot has no permission to write here. Give it Send Messages and Send Messages in Threads",
    50008: "messages cannot be written there. Ask in a text channel or in a thread",
    50024: "messages cannot be written there. Ask in a text channel or in a thread",
    50083: "the thread is archived and cannot be reopened",
    160005: "the thread is locked",
}
"""Why a message cannot be shown, by Discord's JSON error code."""

# --- doctor

CHECK_NOT_SET_UP = "not set up (no DISCORD_TOKEN)"
CHECK_FAILED = "Discord cannot be used"
CHECK_NOTHING_MISSING = "nothing is missing"
CHECK_NO_SERVERS = "the bot is on no server"
CHECK_NO_DATE = "Discord sent no date"
FIX_NO_SERVERS = "Open the invite link and choose a server."
FIX_SESSIONS = (
    "Discord limits the number of connections a day, and the bot restarts too often. "
    "Look for the cause in the bot's log."
)
FIX_PERMISSIONS = (
    "In Discord open the channel's settings > Permissions and allow this for the bot's role, or invite the bot again "
    "with the link above. The table in docs/discord.md says what each permission is for."
)
FIX_CLOCK = (
    "Synchronize this machine's clock with NTP: the bot finds messages it missed while it was away by their time."
)


def unreachable(address: str, cause: object) -> str:
    """Return the error if Discord does not answer at ``address``."""
    return f"Discord cannot be reached at {address} ({cause}). Check the network and DISCORD_API_URL."


def closed(code: int) -> str:
    """Return the error for a session that Discord closed permanently."""
    return f"Discord closed the connection permanently (code {code}). Check the application in the Developer Portal."


def history_unreadable(cause: str) -> str:
    """Return the error for a channel history that Discord did not deliver."""
    return f"Discord cannot be read ({cause}). Try again later."


def cannot_show(code: int) -> str:
    """Return the error for a reply that can no longer be shown; ``code`` is a key of ``REASONS_GONE``."""
    return f"The reply cannot be shown: {REASONS_GONE[code]}."


def token_no_longer_accepted() -> str:
    """Return the error for a reply that is refused because the token was reset."""
    return "The reply cannot be shown: Discord no longer accepts the bot's token."


def refused(status: int, code: int, text: str) -> str:
    """Return the error for any other request that Discord refuses."""
    return f"Discord refused the message ({status}, code {code}): {text}"


def missed_not_read(channels: int) -> str:
    """Return the error for channels whose missed messages could not be read."""
    return f"Missed messages of {channels} {'channel' if channels == 1 else 'channels'} could not be read. I try again."


def connection_failed(cause: object) -> str:
    """Return the error for a request that did not reach Discord."""
    return f"Discord could not be reached: {cause}"


def cannot_answer_in(channel_id: str, reason: str) -> str:
    """Return the direct message to the asker if the bot cannot write in the channel."""
    return f"I cannot answer you in <#{channel_id}>: {reason}. Please tell an admin of the server."


def cannot_send_privately(user_id: int) -> str:
    """Return the line in the channel for a private reply that came too late for its slash command."""
    return (
        f"<@{user_id}> Your command took longer than 15 minutes, and its reply is only for you. "
        "Allow direct messages from members of this server, and run it again."
    )


def sent_directly(channel_id: str) -> str:
    """Return the first line of a direct message sent because the bot cannot post, or attach files, in a channel."""
    return f"I have no permission to post this in <#{channel_id}>, so I am sending it to you here."


def visible_channels(count: int, hidden: Sequence[str]) -> str:
    """Return how many channels the bot sees, and the first of those it does not see."""
    visible = f"{count} {'channel' if count == 1 else 'channels'} visible"
    names = ", ".join(f"#{name}" for name in hidden[:MAX_NAMED_CHANNELS])
    rest = f" and {len(hidden) - MAX_NAMED_CHANNELS} more" if len(hidden) > MAX_NAMED_CHANNELS else ""
    return f"{visible}, hidden: {names}{rest}" if hidden else visible


def missing_permissions(channel: str, permissions: str) -> str:
    """Return the permissions that the bot lacks in a channel."""
    return f"#{channel}: {permissions}"


def clock_difference(seconds: float) -> str:
    """Return how far this machine's clock is off; positive ``seconds`` mean that it is ahead."""
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} Discord's"


def failed(trace_id: str) -> str:
    """Return the reply to a request that failed unexpectedly."""
    return (
        "Something went wrong on my side. Please try again. "
        f"If it happens again, give your admin this trace ID: {trace_id}"
    )


def more_sources(count: int) -> str:
    """Return the line for sources that do not fit into the message."""
    return f"... and {count} more"


def shared_by(name: str) -> str:
    """Return the line below a private answer that its asker shared."""
    return f"{name} asked this privately and shared the answer."
