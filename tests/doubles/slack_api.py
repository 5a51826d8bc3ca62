"""Emulates Slack's Web API: tokens, scopes, rate limits and the rules of each method that the bot calls."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.doubles import slack_blocks, slack_errors
from tests.doubles.slack_directory import DirectoryMethods
from tests.doubles.slack_limits import Buckets
from tests.doubles.slack_streams import Refusal, StreamMethods
from tests.doubles.slack_world import BOT_ID, BOT_USER, TEAM, Channel, Message, mentions_in

if TYPE_CHECKING:
    from tests.doubles.slack import SlackDouble

Args = dict[str, Any]

SCOPES: dict[str, str | None] = {
    "auth.test": None,
    "apps.connections.open": "connections:write",
    "chat.postMessage": "chat:write",
    "chat.postEphemeral": "chat:write",
    "chat.getPermalink": None,
    "chat.update": "chat:write",
    "chat.delete": "chat:write",
    "chat.startStream": "chat:write",
    "chat.appendStream": "chat:write",
    "chat.stopStream": "chat:write",
    "conversations.info": "channels:read",
    "conversations.members": "channels:read",
    "conversations.open": "im:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
    "users.info": "users:read",
    "users.list": "users:read",
    "users.conversations": "channels:read",
    "files.info": "files:read",
    "usergroups.list": "usergroups:read",
    "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write",
    "assistant.threads.setStatus": "assistant:write",
    "views.open": None,
}
"""The scope of each method. ``groups:``, ``im:`` and ``mpim:`` replace ``channels:`` for other kinds of channels."""
_KINDS = {"channel": "channels:", "group": "groups:", "im": "im:", "mpim": "mpim:"}


class WebApi:
    """Serves ``/api/METHOD``."""

    def __init__(self, slack: SlackDouble) -> None:
        self._slack = slack
        self._world = slack.world
        self._uploads: dict[str, tuple[str, bytes | None]] = {}
        self.buckets = Buckets(slack.pace, slack.violations, slack.world.clock, distributed=slack.distributed)
        self._methods: dict[str, Callable[[Args], dict[str, Any]]] = {
            "auth.test": self._auth_test,
            "apps.connections.open": self._connections_open,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._post_ephemeral,
            "chat.getPermalink": self._permalink,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "files.info": self._file_info,
            "files.getUploadURLExternal": self._upload_url,
            "files.completeUploadExternal": self._complete_upload,
            "assistant.threads.setStatus": self._set_status,
            "views.open": self._view,
        }
        self._methods |= DirectoryMethods(slack).methods
        streams = StreamMethods(slack, self._writable, self._add)
        self._methods |= streams.methods if slack.streams else {}
        self.streams = streams

    def answer(self, method: str, args: Args) -> dict[str, Any]:
        """Return the response of an authorized call. Raises Refusal."""
        return self._methods[method](args)

    def check_streams(self) -> None:
        """Record a violation for each stream left open: Slack would show an error after some minutes."""
        for message in self.streams.left_open():
            self._slack.violations.append(f"the stream {message.ts} was never stopped: {message.shown!r}")

    async def serve(self, request: web.Request) -> web.Response:
        """Handle one call."""
        method = request.match_info["method"]
        args = await _arguments(request)
        headers = {"x-oauth-scopes": ",".join(sorted(self._slack.scopes))} if self._slack.tells_scopes else {}
        self._slack.calls.append((method, args))
        try:
            self._authorize(method, request.headers.get("Authorization", ""), args)
            seconds = self.buckets.wait(method, args.get("channel", ""), self._slack.scripted_wait(method))
            if seconds is not None:
                self._slack.refused.append(method)
                headers["Retry-After"] = str(seconds)
                return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers=headers)
            if (scripted := self._slack.scripted_error(method)) is not None:
                raise Refusal(scripted)
            answer = self.answer(method, args)
            if self._slack.scripted_loss(method):
                assert request.transport is not None
                request.transport.abort()
            return web.json_response({"ok": True, **answer}, headers=headers)
        except Refusal as refusal:
            if method in SCOPES:
                slack_errors.check(method, refusal.body["error"])
            if refusal.fault:
                self._slack.violations.append(f"{method}: {refusal.body['error']}: {refusal.fault}")
            return web.json_response(refusal.body, headers=headers)

    def _authorize(self, method: str, authorization: str, args: Args) -> None:
        token = authorization.removeprefix("Bearer ")
        if method not in self._methods:
            raise Refusal("unknown_method", "" if method in SCOPES else f"no method {method}")
        expected = self._slack.app_token if method == "apps.connections.open" else self._slack.bot_token
        if not token:
            raise Refusal("not_authed")
        if token[:5] != expected[:5]:
            raise Refusal("not_allowed_token_type", token[:5])
        if token != expected:
            raise Refusal("invalid_auth")
        needed = SCOPES[method]
        channel = self._world.channels.get(str(args.get("channel")))
        if needed and channel is not None:
            needed = needed.replace("channels:", _KINDS[channel.kind])
        if needed and needed != "connections:write" and needed not in self._slack.scopes:
            provided = ",".join(sorted(self._slack.scopes))
            raise Refusal("missing_scope", needed, needed=needed, provided=provided)

    # --- the app

    def _auth_test(self, _: Args) -> dict[str, Any]:
        names = {"url": "https://parley.slack.com/", "team": "Parley Test", "user": "parley"}
        return names | {"team_id": TEAM, "user_id": BOT_USER, "bot_id": BOT_ID, "is_enterprise_install": False}

    def _connections_open(self, _: Args) -> dict[str, Any]:
        return {"url": f"{self._slack.base.replace('http', 'ws', 1)}/link/?ticket={self._slack.socket.ticket()}"}

    # --- messages

    def _post(self, args: Args) -> dict[str, Any]:
        channel = self._writable(args)
        text, blocks = self._content(args)
        if args.get("unfurl_links") is not False or args.get("unfurl_media") is not False:
            self._slack.violations.append("chat.postMessage without unfurl_links and unfurl_media off")
        message = self._add(channel, args, text, blocks)
        self._slack.announce(message)
        return {"channel": channel.id, "ts": message.ts, "message": message.payload()}

    def _post_ephemeral(self, args: Args) -> dict[str, Any]:
        channel = self._writable(args)
        if args.get("user") not in channel.members:
            raise Refusal("user_not_in_channel", str(args.get("user")))
        text, blocks = self._content(args)
        message = self._add(channel, args, text, blocks)
        message.only_for = args["user"]
        return {"message_ts": message.ts}

    def _permalink(self, args: Args) -> dict[str, Any]:
        channel = self._writable(args)
        message = self._world.find(channel.id, str(args.get("message_ts")))
        if message is None:
            raise Refusal("message_not_found")
        link = f"https://parley.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
        in_thread = message.thread_ts and message.thread_ts != message.ts
        suffix = f"?thread_ts={message.thread_ts}&cid={channel.id}" if in_thread else ""
        return {"channel": channel.id, "permalink": link + suffix}

    def _add(self, channel: Channel, args: Args, text: str, blocks: list[dict[str, Any]]) -> Message:
        thread_ts = args.get("thread_ts")
        if thread_ts and self._world.find(channel.id, thread_ts) is None:
            raise Refusal("thread_not_found")
        version = self._world.version(text, blocks)
        ts, metadata = self._world.next_ts(), args.get("metadata")
        return self._world.add(Message(channel.id, ts, BOT_USER, [version], thread_ts, BOT_ID, metadata))

    def _update(self, args: Args) -> dict[str, Any]:
        message = self._own(args, "cant_update_message")
        self.streams.require_closed(message, "streaming_state_conflict")
        if self._slack.edit_window_closed:
            raise Refusal("edit_window_closed")
        text, blocks = self._content(args)
        if slack_blocks.units(text) > 4000:
            raise Refusal("msg_too_long", f"text of {len(text)} characters")
        blocks = blocks if "blocks" in args else message.now.blocks
        message.versions.append(self._world.version(text, blocks))
        return {"channel": message.channel, "ts": message.ts, "text": text}

    def _delete(self, args: Args) -> dict[str, Any]:
        message = self._own(args, "cant_delete_message")
        self.streams.require_closed(message, "cant_delete_message")
        message.deleted = True
        return {"channel": message.channel, "ts": message.ts}

    def _own(self, args: Args, error: str) -> Message:
        channel = self._writable(args)
        message = self._world.find(channel.id, str(args.get("ts")))
        if message is None:
            raise Refusal("message_not_found")
        if message.bot_id != BOT_ID:
            raise Refusal(error, "another user's message")
        return message

    def _writable(self, args: Args) -> Channel:
        channel = self._world.channels.get(str(args.get("channel")))
        if channel is None:
            raise Refusal("channel_not_found")
        if BOT_USER not in channel.members:
            is_private = channel.kind != "channel"
            raise Refusal("channel_not_found" if is_private else "not_in_channel")
        if channel.is_archived:
            raise Refusal("is_archived")
        return channel

    def _content(self, args: Args) -> tuple[str, list[dict[str, Any]]]:
        text, blocks = str(args.get("text") or ""), args.get("blocks") or []
        if not text and not blocks:
            raise Refusal("no_text", "neither text nor blocks")
        if slack_blocks.message_units(blocks) > 13_200:
            raise Refusal("msg_blocks_too_long", "more than 13,200 characters in all blocks")
        if slack_blocks.units(text) > 40_000 or slack_blocks.markdown_chars(blocks) > 12_000:
            raise Refusal("msg_too_long", "more than 12,000 characters of Markdown")
        if faults := slack_blocks.faults(blocks):
            raise Refusal("invalid_blocks", "; ".join(faults), response_metadata={"messages": faults})
        if blocks and (marks := slack_blocks.markdown_marks(text, "\n".join(slack_blocks.texts(blocks)))):
            self._slack.violations.append(f"the notification shows Markdown: {marks}")
        mentions = mentions_in("\n".join([text, *slack_blocks.texts(blocks)]))
        if mentions:
            self._slack.violations.append(f"the bot mentioned users: {mentions}")
        return text, blocks

    # --- files

    def _file_info(self, args: Args) -> dict[str, Any]:
        described = self._slack.temporary.described.get(str(args.get("file")))
        if described is None:
            raise Refusal("file_not_found")
        return {"file": described, "comments": [], "response_metadata": {"next_cursor": ""}}

    def _upload_url(self, args: Args) -> dict[str, Any]:
        file_id = self._world.next_id("F")
        self._uploads[file_id] = (str(args["filename"]), None)
        return {"file_id": file_id, "upload_url": f"{self._slack.base}/upload/v1/{file_id}"}

    async def upload(self, request: web.Request) -> web.Response:
        """Receive the content of a file."""
        file_id = request.match_info["file"]
        if file_id not in self._uploads:
            return web.Response(status=404, text="no such upload")
        self._uploads[file_id] = (self._uploads[file_id][0], await request.read())
        return web.Response(text=f"OK - {file_id}")

    def _complete_upload(self, args: Args) -> dict[str, Any]:
        files = args["files"] if isinstance(args["files"], list) else json.loads(args["files"])
        channel = self._writable({"channel": args.get("channel_id")})
        completed = []
        for file in files:
            name, data = self._uploads[file["id"]]
            if data is None:
                raise Refusal("file_not_found", "completed before it was uploaded")
            completed.append({"id": file["id"], "name": name, "title": file.get("title"), "size": len(data)})
            self._slack.uploaded[file["id"]] = data
        message = self._add(channel, args, str(args.get("initial_comment") or ""), [])
        message.files = completed
        return {"files": completed}

    # --- status and modals

    def _set_status(self, args: Args) -> dict[str, Any]:
        channel = self._writable({"channel": args.get("channel_id")})
        if self._world.find(channel.id, str(args.get("thread_ts"))) is None:
            raise Refusal("invalid_thread_ts")
        self._slack.statuses.append(str(args.get("status")))
        return {}

    def _view(self, args: Args) -> dict[str, Any]:
        self._slack.temporary.use_trigger(str(args.get("trigger_id")))
        view = args.get("view")
        if faults := slack_blocks.view_faults(view):
            raise Refusal("invalid_arguments", "; ".join(faults))
        assert isinstance(view, dict)
        opened = {**view, "id": self._world.next_id("V")}
        self._slack.views.append(opened)
        return {"view": opened}


async def _arguments(request: web.Request) -> Args:
    args: Args = dict(request.query)
    if request.content_type == "application/json":
        body = await request.json()
        return args | {key: value for key, value in body.items() if value is not None}
    form = await request.post()
    for key, value in form.items():
        assert isinstance(value, str)
        args[key] = json.loads(value) if key in ("blocks", "metadata", "view", "chunks") else value
    return args
