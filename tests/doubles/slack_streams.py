"""Emulates Slack's native streams: start, append, stop and expiry; other changes are refused while one is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from tests.doubles import slack_blocks
from tests.doubles.slack_world import BOT_ID, Channel, Message, Stream, mentions_in

if TYPE_CHECKING:
    from tests.doubles.slack import SlackDouble

Args = dict[str, Any]
Chunk = dict[str, Any]

TEXT_CHARS = 12_000
STREAM_BYTES = 11_000
"""Slack refuses a message above this many bytes of text and cards, whatever the size of an append."""
TITLE_CHARS = 256
STATUSES = {"pending", "in_progress", "complete", "error"}


class Refusal(Exception):
    """A response with ``ok: false``. ``fault`` describes the caller's mistake, if the call itself was one."""

    def __init__(self, error: str, fault: str = "", **more: Any) -> None:
        super().__init__(error)
        self.body = {"ok": False, "error": error, **more}
        self.fault = fault


class StreamMethods:
    """``chat.startStream``, ``chat.appendStream`` and ``chat.stopStream``."""

    def __init__(
        self,
        slack: SlackDouble,
        writable: Callable[[Args], Channel],
        add: Callable[[Channel, Args, str, list[Chunk]], Message],
    ) -> None:
        self._slack = slack
        self._world = slack.world
        self._writable = writable
        self._add = add
        self.methods: dict[str, Callable[[Args], dict[str, Any]]] = {
            "chat.startStream": self._start,
            "chat.appendStream": self._append,
            "chat.stopStream": self._stop,
        }

    def require_closed(self, message: Message, error: str) -> None:
        """Raise Refusal if the stream of the message is open."""
        if self.is_open(message):
            raise Refusal(error)

    def left_open(self) -> list[Message]:
        """Return the messages whose stream was never stopped."""
        return [message for message in self._world.messages if not message.deleted and self.is_open(message)]

    def is_open(self, message: Message) -> bool:
        """Return whether text can still be appended to the message."""
        stream = message.stream
        return stream is not None and not stream.stopped and self._world.elapsed() < stream.ends

    def _start(self, args: Args) -> dict[str, Any]:
        channel = self._writable(args)
        if not args.get("thread_ts"):
            raise Refusal("invalid_arguments", "a stream is a reply in a thread")
        if "metadata" in args or "blocks" in args:
            raise Refusal("invalid_arguments", "chat.startStream takes neither metadata nor blocks")
        recipient = self._recipient(channel, args)
        chunks = self._chunks(args)
        self._blocks_within_limit(chunks)
        message = self._add(channel, args, "", [])
        ends = self._world.elapsed() + self._slack.stream_seconds / self._slack.pace
        message.stream = Stream(ends, recipient)
        self._grow(message, chunks, is_start=True)
        self._slack.announce(message)
        return {"channel": channel.id, "ts": message.ts}

    def _recipient(self, channel: Channel, args: Args) -> str:
        user, team = args.get("recipient_user_id"), args.get("recipient_team_id")
        if channel.kind == "im":
            if user or team:
                raise Refusal("invalid_arguments", "a stream in a direct message must not name its reader")
            return ""
        for name, value in (("user", user), ("team", team)):
            if not value:
                raise Refusal(
                    f"missing_recipient_{name}_id", "a stream in a channel must name its reader and their team"
                )
        if user not in channel.members:
            raise Refusal("user_not_found", f"{user} is not in {channel.name}")
        if team != self._world.users[str(user)].team_id:
            raise Refusal("user_not_found", f"{user} is not of the workspace {team}")
        return str(user)

    def _append(self, args: Args) -> dict[str, Any]:
        message = self._open_message(args)
        chunks = self._chunks(args)
        if not chunks:
            raise Refusal("invalid_arguments", "nothing to append")
        self._grow(message, chunks)
        return {"channel": message.channel, "ts": message.ts}

    def _stop(self, args: Args) -> dict[str, Any]:
        message = self._open_message(args)
        blocks = args.get("blocks") or []
        if faults := slack_blocks.faults(blocks):
            raise Refusal("invalid_blocks", "; ".join(faults))
        chunks = self._chunks(args)
        assert message.stream is not None
        if chunks or blocks:
            self._grow(message, [*chunks, *([{"type": "blocks", "blocks": blocks}] if blocks else [])])
        message.stream.stopped = True
        message.metadata = args.get("metadata") or message.metadata
        return {"channel": message.channel, "ts": message.ts, "message": message.payload()}

    def _open_message(self, args: Args) -> Message:
        channel = self._writable(args)
        message = self._world.find(channel.id, str(args.get("ts")))
        if message is None:
            raise Refusal("message_not_found")
        if message.bot_id != BOT_ID:
            raise Refusal("message_not_owned_by_app", "another app's message")
        if not self.is_open(message):
            raise Refusal("message_not_in_streaming_state")
        return message

    def _chunks(self, args: Args) -> list[Chunk]:
        chunks, text = args.get("chunks") or [], args.get("markdown_text")
        if chunks and text:
            raise Refusal("invalid_arguments", "markdown_text and chunks exclude each other")
        if text:
            raise Refusal("streaming_mode_mismatch", "this stream was started with chunks")
        if faults := [fault for chunk in chunks for fault in _faults(chunk)]:
            raise Refusal("invalid_chunks", "; ".join(faults))
        if any(slack_blocks.escaped_units(chunk.get("text", "")) > TEXT_CHARS for chunk in chunks):
            raise Refusal("msg_too_long", "an append of more than 12,000 characters")
        return list(chunks)

    def _grow(self, message: Message, chunks: list[Chunk], *, is_start: bool = False) -> None:
        assert message.stream is not None
        grown = [*message.stream.chunks, *chunks]
        shown = self._blocks_within_limit(grown)
        if mentions := mentions_in("\n".join(slack_blocks.texts(shown))):
            self._slack.violations.append(f"the bot mentioned users in a stream: {mentions}")
        message.stream.chunks = grown
        text = "".join(chunk["text"] for chunk in grown if chunk["type"] == "markdown_text")
        version = self._world.version(text, shown)
        message.versions[:] = [version] if is_start else [*message.versions, version]

    def _blocks_within_limit(self, chunks: list[Chunk]) -> list[slack_blocks.Block]:
        shown = _blocks_of(chunks)
        if sum(len(text.encode()) for text in slack_blocks.texts(shown)) > STREAM_BYTES:
            raise Refusal("msg_too_long", "a stream of more bytes than a message may have")
        return shown


def _blocks_of(chunks: list[Chunk]) -> list[slack_blocks.Block]:
    """Return the blocks of a streamed message: a card keeps its first position, adjacent text becomes one block."""
    shown: list[slack_blocks.Block] = []
    for chunk in chunks:
        if chunk["type"] == "blocks":
            shown.extend(chunk["blocks"])
        elif chunk["type"] == "task_update":
            card = {"type": "task_card", "task_id": chunk["id"], "title": chunk["title"], "status": chunk["status"]}
            existing = next((block for block in shown if block.get("task_id") == chunk["id"]), None)
            shown.append(card) if existing is None else existing.update(card)
        elif shown and shown[-1]["type"] == "markdown":
            shown[-1] = {"type": "markdown", "text": shown[-1]["text"] + chunk["text"]}
        else:
            shown.append({"type": "markdown", "text": chunk["text"]})
    return shown


def _faults(chunk: Chunk) -> Iterator[str]:
    kind = chunk.get("type")
    if kind == "markdown_text":
        if not str(chunk.get("text") or "").strip():
            yield "a text of only white space"
    elif kind == "task_update":
        if not chunk.get("id") or not 1 <= slack_blocks.escaped_units(chunk.get("title") or "") <= TITLE_CHARS:
            yield "a task needs an id and a title of at most 256 characters"
        if chunk.get("status") not in STATUSES:
            yield f"task status {chunk.get('status')!r}"
    elif kind == "blocks":
        yield from slack_blocks.faults(chunk.get("blocks")) if chunk.get("blocks") else ["no blocks"]
    else:
        yield f"unknown chunk {kind!r}"
