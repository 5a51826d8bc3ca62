"""Any Markdown, in any pieces, through any limit comes out whole: streamed, edited, or changing over in the middle."""

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
from bot.platforms.slack.native_streams import Mode, Streams
from bot.platforms.slack.surface import LIMITS, SlackSurface
from tests.doubles.slack import SlackDouble
from tests.doubles.slack_api import WebApi
from tests.doubles.slack_streams import Refusal
from tests.doubles.slack_world import TEAM, Message, Version
from tests.engine.test_markdown import DOCUMENT, LIMIT, SOUP, blocks, letters

Mishap = Literal["", "ended", "lost before", "lost after", "429", "internal_error"]

MISHAPS: st.SearchStrategy[list[Mishap]] = st.lists(
    st.sampled_from(["", "", "", "", "ended", "lost before", "lost after", "429", "internal_error"]), max_size=25
)


Death = tuple[int, bool] | None
"""After how many calls a process dies, and whether the one it dies in is still carried out; None: it lives."""


class Died(BaseException):
    """A process ends in the middle of a call: nothing that it does afterwards reaches anybody."""


@dataclass
class Answer:
    """What the SDK's errors carry."""

    data: Mapping[str, Any]
    status_code: int
    headers: Mapping[str, str]


def refusal(data: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> SlackApiError:
    """As the SDK raises it."""
    return SlackApiError("", Answer(data, status, headers or {}))  # type: ignore[no-untyped-call]


@dataclass
class InProcess:
    """The Web API of the double, called without a network; each call meets the next mishap."""

    slack: SlackDouble
    mishaps: list[Mishap] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    dies: Death = None

    def __post_init__(self) -> None:
        self._api = WebApi(self.slack)

    def __getattr__(self, name: str) -> Any:
        async def call(**args: Any) -> Mapping[str, Any]:
            await asyncio.sleep(0)
            given = {key: value for key, value in args.items() if value is not None}
            if self.dies is not None and len(self.calls) >= self.dies[0]:
                if len(self.calls) == self.dies[0] and self.dies[1]:
                    with suppress(SlackApiError, ConnectionResetError):
                        self._call(name.replace("_", ".", 1), given)
                self.calls.append("died")
                raise Died
            return self._call(name.replace("_", ".", 1), given)

        return call

    def _call(self, method: str, args: dict[str, Any]) -> Mapping[str, Any]:
        self.calls.append(method)
        mishap = self.mishaps.pop(0) if self.mishaps else ""
        if mishap == "lost before":
            raise ConnectionResetError
        if mishap == "429":
            raise refusal({"error": "ratelimited"}, 429, {"Retry-After": "3"})
        if mishap == "ended":
            for message in self.slack.world.messages:
                if message.stream is not None:
                    message.stream.stopped = True
        try:
            answer = self._api.answer(method, args)
        except Refusal as refused:
            raise refusal(refused.body) from refused
        if mishap == "lost after":
            raise ConnectionResetError
        if mishap == "internal_error":
            raise refusal({"error": "internal_error"})
        return answer


@dataclass
class Clock:
    """Moves when somebody sleeps."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


async def shown(
    text: str, cuts: Sequence[int], limit: int, mode: Mode, mishaps: list[Mishap]
) -> tuple[InProcess, list[Message]]:
    """Write the text in pieces; the bot's messages as they stand in the end."""
    slack = SlackDouble(events=(), pace=1e9, stream_seconds=1e12)
    asked = slack.past("general", "alice", "a question", 1.0)
    client, clock = InProcess(slack, mishaps), Clock()

    async def team(user_id: str) -> str:
        return TEAM

    async def record(index: int, ref: str | None) -> None:
        return None

    surface = SlackSurface(
        cast(AsyncWebClient, client),
        asked.channel,
        asked.ts,
        since=asked.ts,
        native=Streams(mode, team),
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


async def outlived(
    text: str, cuts: Sequence[int], limit: int, mode: Mode, lives: Sequence[tuple[Death, list[Mishap]]]
) -> list[Message]:
    """Write the text in pieces, each process going on where the one before died; the messages as they stand then."""
    slack = SlackDouble(events=(), pace=1e9, stream_seconds=1e12)
    asked = slack.past("general", "alice", "a question", 1.0)
    clock, known = Clock(), dict[int, str | None]()
    allowed = replace(LIMITS, message_chars=limit, max_parts=200)

    async def team(user_id: str) -> str:
        return TEAM

    for dies, mishaps in lives:
        client = InProcess(slack, list(mishaps), dies=dies)

        async def record(index: int, ref: str | None, client: InProcess = client) -> str | None:
            if "died" in client.calls:
                raise Died
            known[index] = known.get(index) or ref
            return known[index]

        surface = SlackSurface(
            cast(AsyncWebClient, client),
            asked.channel,
            asked.ts,
            since=asked.ts,
            native=Streams(mode, team),
            asker=asked.user,
            limits=allowed,
            monotonic=clock.monotonic,
        )
        refs = [known[index] for index in sorted(known)]
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
        with suppress(Died):
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
    """The answer's text in a version of a message."""
    return "".join(block["text"] for block in version.blocks if block["type"] == "markdown")


def said(text: str) -> str:
    """Its letters and digits."""
    return "".join(char for char in text if char.isalnum())


@given(st.one_of(DOCUMENT, SOUP), LIMIT, MISHAPS, st.sampled_from(["everywhere", "off"]), st.data())
@settings(max_examples=120, deadline=None)
def test_it_comes_out_whole_whatever_happens(
    text: str, limit: int, mishaps: list[Mishap], mode: Mode, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    _, messages = asyncio.run(shown(text, cuts, limit, mode, mishaps))
    wanted = rendered(text, replace(LIMITS, message_chars=limit, max_parts=200), frozenset()).parts
    assert [message.shown for message in messages] == (wanted or ["_Looking…_"])
    assert not [message for message in messages if message.stream and not message.stream.stopped]


DEATHS = st.lists(st.tuples(st.tuples(st.integers(0, 12), st.booleans()), MISHAPS), max_size=3)


@given(st.one_of(DOCUMENT, SOUP), LIMIT, DEATHS, MISHAPS, st.sampled_from(["everywhere", "off"]), st.data())
@settings(max_examples=120, deadline=None)
def test_it_comes_out_whole_though_processes_die_over_it(
    text: str,
    limit: int,
    deaths: list[tuple[Death, list[Mishap]]],
    mishaps: list[Mishap],
    mode: Mode,
    data: st.DataObject,
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    messages = asyncio.run(outlived(text, cuts, limit, mode, [*deaths, (None, mishaps)]))
    wanted = rendered(text, replace(LIMITS, message_chars=limit, max_parts=200), frozenset()).parts
    assert [message.shown for message in messages] == (wanted or ["_Looking…_"])
    assert not [message for message in messages if message.stream and not message.stream.stopped]


@given(DOCUMENT, LIMIT, MISHAPS, st.data())
@settings(max_examples=80, deadline=None)
def test_every_fence_is_closed_at_every_moment_and_a_stream_only_grows(
    text: str, limit: int, mishaps: list[Mishap], data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=12))
    _, messages = asyncio.run(shown(text, cuts, limit, "everywhere", mishaps))
    for message in messages:
        for version in message.versions:
            assert letters("".join(blocks(written(version) + "\n\nsentinel", "fence"))).count("sentinel") == 0


@given(DOCUMENT, MISHAPS, st.data())
@settings(max_examples=80, deadline=None)
def test_a_draft_is_always_a_beginning_of_the_answer(text: str, mishaps: list[Mishap], data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=12))
    _, (message,) = asyncio.run(shown(text[:9_000], cuts, 11_000, "everywhere", mishaps))
    for version in message.versions:
        draft = written(version)
        assert draft.startswith("_Looking") or said(text).startswith(said(draft))


@given(DOCUMENT, st.data())
@settings(max_examples=60, deadline=None)
def test_without_mishaps_ordinary_text_never_leaves_its_stream(text: str, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=12))
    client, (message,) = asyncio.run(shown(text[:1_400], cuts, 11_000, "everywhere", []))
    assert client.calls[0] == "chat.startStream"
    assert client.calls[-2:] == ["chat.stopStream", "chat.update"]
    assert set(client.calls[1:-2]) <= {"chat.appendStream"}
    assert message.stream is not None


async def test_a_stream_of_which_it_is_not_known_what_it_has_is_never_appended_to_again() -> None:
    """The answer to an append is lost, and the stop that follows is put off: the text stands there once."""
    client, (message,) = await shown("alpha alpha", [0, 0, 6], 11_000, "everywhere", ["", "lost after", "429"])
    assert client.calls.count("chat.appendStream") == 1
    assert [said(written(version)) for version in message.versions] == ["", "alpha", "alpha", "alphaalpha"]
