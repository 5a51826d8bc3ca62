"""Slack's event payloads to the bot's own nouns. Pure: no network, no clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bot.types.conversation import Attachment, Author, Incoming, IncomingKind, ThreadKey

Payload = Mapping[str, Any]

SPOKEN = frozenset({None, "file_share", "thread_broadcast", "me_message"})
"""Subtypes under which a person says something; all others report what happened to a channel or a message."""

NO_BYTES = frozenset({"tombstone", "hidden_by_limit", "external"})
"""File modes that have no content to download."""

_CONTROL = re.compile(r"<([@#!][^<>\n]+|[a-zA-Z][a-zA-Z0-9+.-]*:[^<>\n]+)>")


@dataclass(frozen=True, slots=True)
class Me:
    """The bot as its workspace knows it, and the tenant that this workspace is.

    ``alone``: whatever is led here belongs to this workspace, also where somebody of another one wrote it.
    """

    user_id: str
    bot_id: str
    team_id: str
    tenant_id: str
    alone: bool = False

    def tenant(self, team_id: str | None) -> str:
        """The tenant of the workspace that an event came from."""
        return self.tenant_id if self.alone or team_id in (None, "", self.team_id) else f"slack:{team_id}"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that may be for the bot, before its author is looked up.

    ``follow_up`` means a thread message without a mention, ``overheard`` one outside threads: whether the bot answers
    them is not known here.
    ``args`` is the text with people as bare ids, as commands take them.
    """

    kind: IncomingKind
    thread: ThreadKey
    ts: str
    user_id: str
    text: str
    args: str
    in_thread: bool
    files: tuple[Payload, ...] = ()

    def incoming(self, author: Author, attachments: Sequence[Attachment] = ()) -> Incoming:
        """The message as the desk takes it."""
        sent_at = datetime.fromtimestamp(float(self.ts), UTC)
        return Incoming(self.thread, self.ts, author, self.text, self.kind, sent_at, tuple(attachments))


def heard(event: Payload, me: Me, team_id: str | None = None) -> Heard | None:
    """Who says what to the bot in a ``message`` or ``app_mention`` event; None where nothing asks for an answer."""
    if event.get("subtype") not in SPOKEN or event.get("bot_id") or event.get("hidden"):
        return None
    user, channel, ts = event.get("user"), event.get("channel"), event.get("ts")
    if not user or not channel or not ts or user in (me.user_id, "USLACKBOT"):
        return None
    raw = event.get("text") or ""
    kind = _kind(event, raw, me)
    if kind is None:
        return None
    key = ThreadKey(me.tenant(team_id), "slack", channel, event.get("thread_ts") or ts)
    return Heard(
        kind=kind,
        thread=key,
        ts=ts,
        user_id=user,
        text=plain(raw, me.user_id),
        args=plain(raw, me.user_id, ids=True),
        in_thread=bool(event.get("thread_ts")),
        files=tuple(file for file in event.get("files") or () if file.get("mode") not in NO_BYTES),
    )


@dataclass(frozen=True, slots=True)
class Gone:
    """A message that somebody deleted."""

    thread: ThreadKey
    ts: str


def changed(event: Payload, me: Me, team_id: str | None = None) -> Heard | Gone | None:
    """What became of a message in a ``message_changed`` or ``message_deleted`` event.

    None where a person did not change what it says: previews of links arrive as changes too, and so do our own edits.
    """
    before, after = event.get("previous_message") or {}, event.get("message") or {}
    if before.get("bot_id") or before.get("user") == me.user_id:
        return None
    channel, tenant = str(event.get("channel") or ""), me.tenant(team_id)
    if event.get("subtype") == "message_deleted" or after.get("subtype") == "tombstone":
        ts = str(event.get("deleted_ts") or before.get("ts") or after.get("ts") or "")
        key = ThreadKey(tenant, "slack", channel, str(before.get("thread_ts") or ts))
        return Gone(key, ts) if channel and ts else None
    if event.get("subtype") != "message_changed" or not before or after.get("text") == before.get("text"):
        return None
    said = {**after, "type": "message", "channel": channel, "channel_type": event.get("channel_type")}
    return heard(said, me, team_id)


def _kind(event: Payload, raw: str, me: Me) -> IncomingKind | None:
    if event.get("channel_type") == "im" or str(event["channel"]).startswith("D"):
        return "dm"
    if event.get("type") == "app_mention" or _own_mention(me.user_id).search(raw):
        return "mention"
    thread_ts = event.get("thread_ts")
    if re.search(r"<@[UW]", raw):
        return None
    if thread_ts and thread_ts != event["ts"]:
        return "follow_up"
    return None if thread_ts else "overheard"


def plain(raw: str, own_id: str = "", *, ids: bool = False) -> str:
    """Slack's wire text as a person typed it, the bot's own mention taken out.

    People become ``@name``, or their bare id with ``ids``; a link with a label becomes ``label (address)``.
    """

    def decoded(match: re.Match[str]) -> str:
        target, _, label = match.group(1).partition("|")
        return _spelled(target, label, ids=ids)

    text = _own_mention(own_id).sub(" ", raw) if own_id else raw
    text = _CONTROL.sub(decoded, text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


def _own_mention(own_id: str) -> re.Pattern[str]:
    return re.compile(rf"[ \t]*<@{re.escape(own_id)}(\|[^>]*)?>[ \t]*")


def _spelled(target: str, label: str, *, ids: bool) -> str:
    if target.startswith("@"):
        return target[1:] if ids else "@" + (label.removeprefix("@") or target[1:])
    if target.startswith("#"):
        return target[1:] if ids else "#" + (label or target[1:])
    if target.startswith("!"):
        name = target[1:].partition("^")[0]
        return label or "@" + name
    address = target.removeprefix("mailto:").removeprefix("tel:")
    return address if ids or not label or label in address else f"{label} ({address})"


def attachments(files: Sequence[Payload], reader: Callable[[Payload], Attachment]) -> tuple[Attachment, ...]:
    """The files of a message, each with the means to read it."""
    return tuple(reader(file) for file in files)


@dataclass(frozen=True, slots=True)
class Click:
    """A button pressed under an answer."""

    action: str
    turn_id: str
    tenant_id: str
    channel_id: str
    message_ts: str
    thread_ts: str
    user_id: str
    trigger_id: str


def click(body: Payload, me: Me) -> Click | None:
    """The press of one of the bot's own buttons; None for any other interaction."""
    pressed = (body.get("actions") or [{}])[0]
    action_id, turn_id = str(pressed.get("action_id", "")), str(pressed.get("value", ""))
    container = body.get("container") or {}
    message = body.get("message") or {}
    channel = (body.get("channel") or {}).get("id") or container.get("channel_id")
    ts = message.get("ts") or container.get("message_ts")
    if not action_id.startswith("parley_") or not turn_id or not channel or not ts:
        return None
    return Click(
        action=action_id.removeprefix("parley_"),
        turn_id=turn_id,
        tenant_id=me.tenant((body.get("team") or {}).get("id")),
        channel_id=channel,
        message_ts=ts,
        thread_ts=message.get("thread_ts") or container.get("thread_ts") or ts,
        user_id=body["user"]["id"],
        trigger_id=body.get("trigger_id", ""),
    )


@dataclass(frozen=True, slots=True)
class Slash:
    """A slash command. ``name`` is the command, ``args`` its argument line."""

    name: str
    args: str
    tenant_id: str
    channel_id: str
    user_id: str
    response_url: str


def slash(body: Payload, me: Me) -> Slash:
    """``/parley NAME ARGS`` or the short ``/NAME ARGS``; without a name it is ``help``."""
    name = str(body["command"]).removeprefix("/")
    args = plain(str(body.get("text") or ""), ids=True)
    if name == "parley":
        name, _, args = args.partition(" ")
    return Slash(
        name=name.lower() or "help",
        args=args.strip(),
        tenant_id=me.tenant(body.get("team_id")),
        channel_id=body["channel_id"],
        user_id=body["user_id"],
        response_url=body.get("response_url", ""),
    )
