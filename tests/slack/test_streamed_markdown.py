"""Property tests: any Markdown arrives completely through any limit, streamed, edited or both, despite failures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.engine.display.split import rendered
from bot.engine.display.stream import Display
from bot.platforms.slack.stream_policy import Mode, StreamPolicy
from bot.platforms.slack.surface import LIMITS, SlackSurface
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_api import WebApi
from tests.doubles.slack_streams import Refusal
from tests.doubles.slack_world import TEAM, Message, Version
from tests.engine.test_markdown import DOCUMENT, LIMIT, SOUP, blocks, letters

Fault = Literal["", "ended", "lost before", "lost after", "429", "internal_error"]

FAULTS: st.SearchStrategy[list[Fault]] = st.lists(
    st.sampled_from(["", "", "", "", "ended", "lost before", "lost after", "429", "internal_error"]), max_size=25
)


Crash = tuple[int, bool] | None
"""After how many calls the process crashes, and whether the last call is still executed; None: no crash."""


class Crashed(BaseException):
    """The process crashed during a call: nothing that it does afterwards has an effect."""


@dataclass
class Response:
    """The response inside the SDK's errors."""

    data: Mapping[str, Any]
    status_code: int
    headers: Mapping[str, str]


def refusal(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> SlackApiError:
    """Return the error as the SDK raises it."""
    return SlackApiError("", Response(data, status, headers or {}))  # type: ignore[no-untyped-call]


@dataclass
class InProcessClient:
    """Calls the double's Web API without a network; each call has the next fault."""

    slack: SlackDouble
    faults: list[Fault] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    crash: Crash = None

    def __post_init__(self) -> None:
        self._api = WebApi(self.slack)

    def __getattr__(self, name: str) -> Any:
        async def call(**args: Any) -> Mapping[str, Any]:
            await asyncio.sleep(0)
            arguments = {key: value for key, value in args.items() if value is not None}
            if self.crash is not None and len(self.calls) >= self.crash[0]:
                if len(self.calls) == self.crash[0] and self.crash[1]:
                    with suppress(SlackApiError, ConnectionResetError):
                        self._call(name.replace("_", ".", 1), arguments)
                self.calls.append("crashed")
                raise Crashed
            return self._call(name.replace("_", ".", 1), arguments)

        return call

    def _call(self, method: str, args: dict[str, Any]) -> Mapping[str, Any]:
        self.calls.append(method)
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "lost before":
            raise ConnectionResetError
        if fault == "429":
            raise refusal({"error": "ratelimited"}, 429, {"Retry-After": "3"})
        if fault == "ended":
            for message in self.slack.world.messages:
                if message.stream is not None:
                    message.stream.stopped = True
        try:
            answer = self._api.answer(method, args)
        except Refusal as refused:
            raise refusal(refused.body) from refused
        if fault == "lost after":
            raise ConnectionResetError
        if fault == "internal_error":
            raise refusal({"error": "internal_error"})
        return answer


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


async def shown(
    text: str, cuts: Sequence[int], limit: int, mode: Mode, faults: list[Fault]
) -> tuple[InProcessClient, list[Message]]:
    """Write the text in pieces and return the bot's final messages."""
    slack = SlackDouble(events=(), pace=1e9, stream_seconds=1e12)
    asked = slack.add_past("general", "alice", "a question", 1.0)
    client, clock = InProcessClient(slack, faults), Clock()

    async def team(user_id: str) -> str:
        return TEAM

    async def record(index: int, ref: str | None, *, replaced: str | None = None) -> None:
        return None

    surface = SlackSurface(
        cast(AsyncWebClient, client),
        asked.channel,
        asked.ts,
        since=asked.ts,
        streams=StreamPolicy(mode, team),
        asker=asked.user,
        limits=replace(LIMITS, message_chars=limit, max_parts=200),
        monotonic=clock.monotonic,
    )
    async with Display(
        surface, turn_id="t1", record=record, monotonic=clock.monotonic, sleep=clock.sleep, deadline=1e6
    ) as display:
        await display.open("_Looking…_")
        for cut in sorted(cuts):
            display.show(text[:cut])
            for _ in range(12):
                await asyncio.sleep(0)
        await display.close(text)
    assert slack.violations == []
    replies = [message for message in slack.world.messages if message.bot_id and not message.deleted]
    return client, sorted(replies, key=lambda message: message.ts)


async def shown_despite_crashes(
    text: str, cuts: Sequence[int], limit: int, mode: Mode, lives: Sequence[tuple[Crash, list[Fault]]]
) -> list[Message]:
    """Write the text in pieces, each process continuing after the previous crash; return the final messages."""
    slack = SlackDouble(events=(), pace=1e9, stream_seconds=1e12)
    asked = slack.add_past("general", "alice", "a question", 1.0)
    clock, recorded = Clock(), dict[int, str | None]()
    limits = replace(LIMITS, message_chars=limit, max_parts=200)

    async def team(user_id: str) -> str:
        return TEAM

    for crash, faults in lives:
        client = InProcessClient(slack, list(faults), crash=crash)

        async def record(
            index: int, ref: str | None, client: InProcessClient = client, *, replaced: str | None = None
        ) -> str | None:
            if "crashed" in client.calls:
                raise Crashed
            recorded[index] = recorded.get(index) or ref
            return recorded[index]

        surface = SlackSurface(
            cast(AsyncWebClient, client),
            asked.channel,
            asked.ts,
            since=asked.ts,
            streams=StreamPolicy(mode, team),
            asker=asked.user,
            limits=limits,
            monotonic=clock.monotonic,
        )
        refs = [recorded[index] for index in sorted(recorded)]
        display = Display(
            surface,
            turn_id="t1",
            record=record,
            parts=[ref for ref in refs if ref],
            recorded=len(refs),
            monotonic=clock.monotonic,
            sleep=clock.sleep,
            deadline=1e6,
        )
        with suppress(Crashed):
            async with display:
                await display.open("_Looking…_")
                for cut in sorted(cuts):
                    display.show(text[:cut])
                    for _ in range(12):
                        await asyncio.sleep(0)
                await display.close(text)
    assert slack.violations == []
    replies = [message for message in slack.world.messages if message.bot_id and not message.deleted]
    return sorted(replies, key=lambda message: message.ts)


def written(version: Version) -> str:
    """Return the answer's text in a version of a message."""
    return "".join(block["text"] for block in version.blocks if block["type"] == "markdown")


def alphanumeric(text: str) -> str:
    """Return the letters and digits of the text."""
    return "".join(char for char in text if char.isalnum())


@given(st.one_of(DOCUMENT, SOUP), LIMIT, FAULTS, st.sampled_from(["everywhere", "off"]), st.data())
@settings(max_examples=120, deadline=None)
def test_the_text_arrives_completely_despite_faults(
    text: str, limit: int, faults: list[Fault], mode: Mode, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    _, messages = asyncio.run(shown(text, cuts, limit, mode, faults))
    expected = rendered(text, replace(LIMITS, message_chars=limit, max_parts=200), frozenset()).parts
    assert [message.shown for message in messages] == (expected or ["_Looking…_"])
    assert not [message for message in messages if message.stream and not message.stream.stopped]


CRASHES = st.lists(st.tuples(st.tuples(st.integers(0, 12), st.booleans()), FAULTS), max_size=3)


@given(st.one_of(DOCUMENT, SOUP), LIMIT, CRASHES, FAULTS, st.sampled_from(["everywhere", "off"]), st.data())
@settings(max_examples=120, deadline=None)
def test_the_text_arrives_completely_despite_crashes(
    text: str,
    limit: int,
    crashes: list[tuple[Crash, list[Fault]]],
    faults: list[Fault],
    mode: Mode,
    data: st.DataObject,
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    messages = asyncio.run(shown_despite_crashes(text, cuts, limit, mode, [*crashes, (None, faults)]))
    expected = rendered(text, replace(LIMITS, message_chars=limit, max_parts=200), frozenset()).parts
    assert [message.shown for message in messages] == (expected or ["_Looking…_"])
    assert not [message for message in messages if message.stream and not message.stream.stopped]


@given(DOCUMENT, LIMIT, FAULTS, st.data())
@settings(max_examples=80, deadline=None)
def test_every_draft_closes_its_fences(text: str, limit: int, faults: list[Fault], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=12))
    _, messages = asyncio.run(shown(text, cuts, limit, "everywhere", faults))
    for message in messages:
        for version in message.versions:
            assert letters("".join(blocks(written(version) + "\n\nsentinel", "fence"))).count("sentinel") == 0


@given(DOCUMENT, FAULTS, st.data())
@settings(max_examples=80, deadline=None)
def test_every_draft_is_a_prefix_of_the_answer(text: str, faults: list[Fault], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=12))
    _, (message,) = asyncio.run(shown(text[:9_000], cuts, 11_000, "everywhere", faults))
    for version in message.versions:
        draft = written(version)
        assert draft.startswith("_Looking") or alphanumeric(text).startswith(alphanumeric(draft))


@given(DOCUMENT, st.data())
@settings(max_examples=60, deadline=None)
def test_without_faults_text_stays_in_its_stream(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    client, (message,) = asyncio.run(shown(text[:1_400], cuts, 11_000, "everywhere", []))
    assert client.calls[0] == "chat.startStream"
    assert client.calls[-2:] == ["chat.stopStream", "chat.update"]
    assert set(client.calls[1:-2]) <= {"chat.appendStream"}
    assert message.stream is not None


async def test_a_stream_is_not_appended_to_after_an_uncertain_append() -> None:
    """The response to an append is lost, and the stop is rate limited: the text appears only once."""
    client, (message,) = await shown("alpha alpha", [0, 0, 6], 11_000, "everywhere", ["", "lost after", "429"])
    assert client.calls.count("chat.appendStream") == 1
    assert [alphanumeric(written(version)) for version in message.versions] == ["", "alpha", "alpha", "alphaalpha"]
