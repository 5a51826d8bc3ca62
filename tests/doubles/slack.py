"""Emulates a Slack workspace on loopback: Web API, Socket Mode, files and response URLs, with Slack's rules.

    async with SlackDouble() as slack:
        question = await slack.say("general", "alice", f"{slack.bot} how long is the notice period?")
        await slack.until(lambda: slack.replies(question))
        print(slack.transcript())

``violations`` collects what the bot does against the rules. Leaving the context fails if there are any.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.doubles.slack_api import SCOPES, WebApi
from tests.doubles.slack_faults import Faults
from tests.doubles.slack_people import People
from tests.doubles.slack_socket import REDELIVERY_SECONDS, SocketMode
from tests.doubles.slack_temporary_resources import TemporaryResources
from tests.doubles.slack_world import Message, World

_METHOD_SCOPES = frozenset(scope for scope in SCOPES.values() if scope and scope != "connections:write")
ALL_SCOPES = _METHOD_SCOPES | {"files:read", "groups:history", "groups:read", "reactions:read"}
EVENTS = frozenset(
    (
        *("app_mention", "message.channels", "message.groups", "message.im", "message.mpim"),
        *("reaction_added", "reaction_removed"),
    )
)


class SlackDouble(People, Faults):
    """A workspace with alice, bob and ada (an admin), and the channels general, secret, random and old.

    ``pace``: how many Slack seconds pass in a real second, for rate limits and redelivery. ``events``: the events that
    the app subscribed to. ``commands``: its slash commands. ``redelivery``: Slack seconds between delivery attempts.
    ``distributed``: the app is distributed outside the Marketplace, so Slack limits its reading of channel history.
    ``streams``: whether the workspace has native streams. ``stream_seconds``: Slack seconds until a stream ends.
    ``clock`` returns the seconds for rate limits.
    """

    def __init__(
        self,
        *,
        scopes: Collection[str] = ALL_SCOPES,
        events: Collection[str] = EVENTS,
        commands: Collection[str] = ("/parley", "/ask", "/ingest", "/docs", "/budget", "/costs"),
        pace: float = 1.0,
        ack_seconds: float = 3.0,
        bot_token: str = "xoxb-double-1",
        app_token: str = "xapp-double-1",
        redelivery: Sequence[float] = REDELIVERY_SECONDS,
        distributed: bool = False,
        streams: bool = True,
        stream_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.violations: list[str] = []
        socket = SocketMode(ack_seconds=ack_seconds, pace=pace, violations=self.violations, redelivery=redelivery)
        People.__init__(self, World(clock), socket, events, commands)
        Faults.__init__(self)
        self.scopes = set(scopes)
        self.tells_scopes = True
        self.pace = pace
        self.distributed = distributed
        self.streams, self.stream_seconds = streams, stream_seconds
        self.bot_token, self.app_token = bot_token, app_token
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refused: list[str] = []
        """Methods that were rate limited."""
        self.edit_window_closed = False
        """Whether the workspace does not allow edits any more."""
        self.views: list[dict[str, Any]] = []
        self.statuses: list[str] = []
        self.uploaded: dict[str, bytes] = {}
        self.base = ""
        self.temporary = TemporaryResources(self)
        self._api = WebApi(self)

    # --- lifecycle

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._api.serve)
        app.router.add_get("/link/", self.socket.serve)
        app.router.add_post("/upload/v1/{file}", self._api.upload)
        app.router.add_get("/files-pri/{file}/{name}", self.temporary.file)
        app.router.add_post("/commands/{id}", self.temporary.responded)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()
        await self._runner.cleanup()
        self._api.check_streams()
        if kind is None:
            assert not self.violations, "the bot broke Slack's rules:\n" + "\n".join(self.violations)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a Web API call that arrived at another address."""
        return await self._api.serve(request)

    @property
    def api_url(self) -> str:
        """The value for SLACK_API_URL."""
        return f"{self.base}/api/"

    # --- streams

    def end_stream(self, message: Message) -> None:
        """End the stream of a message on Slack's side."""
        assert message.stream is not None
        message.stream.stopped = True

    def is_streaming(self, message: Message) -> bool:
        """Return whether the message is an open stream."""
        return self._api.streams.is_open(message)
