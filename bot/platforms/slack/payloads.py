"""Parses Slack's payloads: messages, edits, button clicks and slash commands. Makes no requests and reads no clock.

A field of another type than Slack documents counts as missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.commands.arguments import first_word
from bot.platforms.json_input import object_field, objects_field, text_field
from bot.platforms.slack import message_text
from bot.platforms.slack.message_text import mention_of, plain_text, spoken
from bot.platforms.slack.shared_files import transcript
from bot.types.audience import Audience
from bot.types.conversation import Attachment, Author, Incoming, IncomingKind, ThreadKey

Payload = Mapping[str, Any]

USER_SUBTYPES = frozenset({"file_share", "thread_broadcast", "me_message"})
"""Subtypes of messages that a user writes; most have none. All others report changes to a channel or a message."""

NO_CONTENT_MODES = frozenset({"tombstone", "hidden_by_limit", "external"})
"""File modes without content to download."""

_TS = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,6})?")
"""The ID of a message: the time at which Slack received it, in seconds."""

_FOR_OTHERS = re.compile(r"<@[UW]|<!(?:subteam\^|here|channel|everyone)")
"""Mentions of people, of groups, and of everybody."""


@dataclass(frozen=True, slots=True)
class BotUser:
    """The bot's IDs in its workspace, and the tenant of that workspace.

    Everything that arrives for an installation belongs to its tenant, even from a user or a channel of another
    organization. ``enterprise_id`` is the organization's, if the workspace belongs to one; ``team_id`` is empty if the
    whole organization installed the app.
    """

    user_id: str
    bot_id: str
    team_id: str
    tenant_id: str
    enterprise_id: str = ""


@dataclass(frozen=True, slots=True)
class UserMessage:
    """A message that may be for the bot, before its author is looked up.

    ``follow_up`` is a thread message without a mention, ``overheard`` one outside threads. The dispatcher decides
    whether the bot answers them. ``raw`` is the text in Slack's markup, ``args`` the text with users as bare IDs, as
    commands expect them. ``beside`` is what the message says beside its text, such as a forwarded message, in markup.
    """

    kind: IncomingKind
    thread: ThreadKey
    ts: str
    user_id: str
    raw: str
    args: str
    in_thread: bool
    beside: str = ""
    files: tuple[Payload, ...] = ()
    shared: bool = False
    """Whether the event shows that the channel is shared with another workspace."""
    edited_at: datetime | None = None
    """The time of the edit's event; without such an event, the time in the message's ``edited``, in whole seconds."""

    def incoming(
        self, text: str, author: Author, audience: Audience, attachments: Sequence[Attachment] = ()
    ) -> Incoming:
        """Return the message as the dispatcher accepts it; ``text`` is the question with names in place of IDs."""
        sent_at = datetime.fromtimestamp(float(self.ts), UTC)
        message = Incoming(self.thread, self.ts, author, text, self.kind, sent_at, tuple(attachments))
        return replace(message, audience=audience, edited_at=self.edited_at)


@dataclass(frozen=True, slots=True)
class DeletedMessage:
    """A message that was deleted."""

    thread: ThreadKey
    ts: str


def parse_message(event: Payload, bot: BotUser, *, shared: bool = False) -> UserMessage | None:
    """Parse a ``message`` or ``app_mention`` event; None if the bot has nothing to do with it.

    ``shared``: what arrived around the event says that the channel is shared with another organization.
    """
    if not has_user_subtype(event) or event.get("bot_id") or event.get("hidden"):
        return None
    user, channel, ts = (text_field(event, name) for name in ("user", "channel", "ts"))
    if not user or not channel or not _TS.fullmatch(ts) or user in (bot.user_id, "USLACKBOT"):
        return None
    raw, thread_ts = text_field(event, "text"), text_field(event, "thread_ts")
    kind = _message_kind(event, raw, bot)
    files = tuple(file for file in objects_field(event, "files") if text_field(file, "mode") not in NO_CONTENT_MODES)
    args = plain_text(raw, bot.user_id, ids=True)
    if kind is None or (kind in ("follow_up", "overheard") and not args and not files):
        return None
    return UserMessage(
        kind=kind,
        thread=ThreadKey(bot.tenant_id, "slack", channel, thread_ts or ts),
        ts=ts,
        user_id=user,
        raw=raw,
        args=args,
        in_thread=bool(thread_ts),
        beside=message_text.beside_text(event),
        files=files,
        shared=shared or _is_from_elsewhere(event, bot),
        edited_at=_moment(text_field(object_field(event, "edited"), "ts")),
    )


def has_user_subtype(message: Payload) -> bool:
    """Return whether a user writes messages of this subtype."""
    return message.get("subtype") is None or text_field(message, "subtype") in USER_SUBTYPES


def _is_from_elsewhere(event: Payload, bot: BotUser) -> bool:
    """Return whether the event names another workspace as that of its author or its origin."""
    teams = {text_field(event, name) for name in ("team", "user_team", "source_team")} - {""}
    return bool(bot.team_id and teams - {bot.team_id})


def installed_team(body: Payload) -> str | None:
    """Return the workspace of the installation for which a request was delivered.

    In a shared channel, ``team_id`` and ``team`` may name another organization: that of the channel or of the person
    who acts. The installation stands in an event's ``authorizations``, in the view of a modal, or in the message of the
    bot whose button was pressed.
    """
    # Only clicks on the app's own buttons arrive, so their message is one of the bot.
    message = object_field(body, "message") if body.get("actions") else {}
    installed = [text_field(one, "team_id") for one in objects_field(body, "authorizations")]
    installed.append(text_field(object_field(body, "view"), "app_installed_team_id"))
    installed.append("" if body.get("is_enterprise_install") else text_field(message, "team"))
    named = [text_field(object_field(body, "team"), "id"), text_field(body, "team_id")]
    named.append(text_field(object_field(body, "user"), "team_id"))
    return next((team for team in (*installed, *named) if team), None)


def next_cursor(page: Payload | AsyncSlackResponse) -> str:
    """Return the cursor of the page that follows a page of a Web API response; empty after the last one."""
    return str((page.get("response_metadata") or {}).get("next_cursor") or "")


def parse_change(event: Payload, bot: BotUser, *, shared: bool = False) -> UserMessage | DeletedMessage | None:
    """Parse a ``message_changed`` or ``message_deleted`` event; ``shared`` as in ``parse_message``.

    Return None unless a user changed the text, or Slack added a message whose link the text has, or the transcript of a
    clip. Previews of other links and the bot's own edits arrive as changes too.
    """
    before, after = object_field(event, "previous_message"), object_field(event, "message")
    if before.get("bot_id") or before.get("user") == bot.user_id:
        return None
    channel = text_field(event, "channel")
    if event.get("subtype") == "message_deleted" or after.get("subtype") == "tombstone":
        ts = text_field(event, "deleted_ts") or text_field(before, "ts") or text_field(after, "ts")
        thread = ThreadKey(bot.tenant_id, "slack", channel, text_field(before, "thread_ts") or ts)
        return DeletedMessage(thread, ts) if channel and ts else None
    if event.get("subtype") != "message_changed" or not before:
        return None
    if after.get("text") == before.get("text") and not _added(after) - _added(before):
        return None
    edited = {**after, "type": "message", "channel": channel, "channel_type": event.get("channel_type")}
    parsed = parse_message(edited, bot, shared=shared)
    return parsed and replace(parsed, edited_at=_time_of(event))


def _time_of(event: Payload) -> datetime | None:
    """Return when an event happened. The time that the message itself bears has whole seconds only."""
    return _moment(text_field(event, "event_ts") or text_field(event, "ts"))


def _moment(ts: str) -> datetime | None:
    return datetime.fromtimestamp(float(ts), UTC) if _TS.fullmatch(ts) else None


def _added(message: Payload) -> set[str]:
    """Return what Slack adds to a message later: the addresses of the messages below its text, and transcripts."""
    attachments = objects_field(message, "attachments")
    shared = {str(one.get("from_url")) for one in attachments if one.get("is_msg_unfurl") or one.get("is_share")}
    return shared | set(filter(None, map(transcript, objects_field(message, "files"))))


def _message_kind(event: Payload, raw: str, bot: BotUser) -> IncomingKind | None:
    if event.get("channel_type") == "im" or str(event["channel"]).startswith("D"):
        return "dm"
    said, mention = spoken(raw), mention_of(bot.user_id)
    if mention.search(said):
        return "mention"
    if event.get("type") == "app_mention":
        # Slack also sends this event for a mention in code or in a quotation, next to that of the message.
        return None if mention.search(raw) else "mention"
    thread_ts = text_field(event, "thread_ts")
    if _FOR_OTHERS.search(said):
        return None
    if thread_ts and thread_ts != event["ts"]:
        return "follow_up"
    return None if thread_ts else "overheard"


@dataclass(frozen=True, slots=True)
class ButtonClick:
    """A click on one of the bot's buttons."""

    action: str
    turn_id: str
    tenant_id: str
    channel_id: str
    message_ts: str
    thread_ts: str
    user_id: str
    trigger_id: str


def parse_click(body: Payload, bot: BotUser) -> ButtonClick | None:
    """Parse a click on one of the bot's buttons; None for any other interaction."""
    button = next(iter(objects_field(body, "actions")), {})
    action_id, turn_id = text_field(button, "action_id"), text_field(button, "value")
    container, message = object_field(body, "container"), object_field(body, "message")
    channel = text_field(object_field(body, "channel"), "id") or text_field(container, "channel_id")
    ts = text_field(message, "ts") or text_field(container, "message_ts")
    user_id = text_field(object_field(body, "user"), "id")
    if not action_id.startswith("parley_") or not all((turn_id, channel, ts, user_id)):
        return None
    return ButtonClick(
        action=action_id.removeprefix("parley_"),
        turn_id=turn_id,
        tenant_id=bot.tenant_id,
        channel_id=channel,
        message_ts=ts,
        thread_ts=text_field(message, "thread_ts") or text_field(container, "thread_ts") or ts,
        user_id=user_id,
        trigger_id=text_field(body, "trigger_id"),
    )


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command. ``name`` is the bot's command, ``args`` its argument line."""

    name: str
    args: str
    tenant_id: str
    channel_id: str
    user_id: str
    response_url: str


def parse_slash_command(body: Payload, bot: BotUser) -> SlashCommand | None:
    """Parse ``/parley NAME ARGS`` or the short ``/NAME ARGS``. ``/parley`` alone means ``help``.

    Return None if the channel or the user is missing.
    """
    channel_id, user_id = text_field(body, "channel_id"), text_field(body, "user_id")
    if not channel_id or not user_id:
        return None
    name = text_field(body, "command").removeprefix("/")
    args = plain_text(text_field(body, "text"), ids=True)
    if name == "parley":
        name, args = first_word(args)
    return SlashCommand(
        name=name.lower() or "help",
        args=args,
        tenant_id=bot.tenant_id,
        channel_id=channel_id,
        user_id=user_id,
        response_url=text_field(body, "response_url"),
    )
