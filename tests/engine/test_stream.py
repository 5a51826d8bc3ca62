"""The display against a surface that fails on demand and a clock that advances only in sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine import user_messages as said
from bot.engine.display import output_filter
from bot.engine.display import split as cutting
from bot.engine.display.edit_pacing import SharedPacing
from bot.engine.display.output_filter import sanitize, urls_in
from bot.engine.display.split import rendered
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, MessageGone, PlatformAway, RateLimited, StoreAway, SurfaceError
from bot.types.display import Citation, Limits, Part

EVERY = 1.2


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        await asyncio.sleep(0)


@dataclass
class Channel:
    """A surface; ``messages`` is what a user sees, ``errors`` the errors to raise in turn, None for success."""

    clock: Clock
    limits: Limits = Limits(2000, EVERY)
    messages: dict[str, Part] = field(default_factory=dict)
    calls: list[tuple[str, float, Part | None]] = field(default_factory=list)
    errors: list[Exception | None] = field(default_factory=list)
    later_error: Exception | None = None
    applies_anyway: bool = False
    slow: Callable[[], Awaitable[None]] | None = None
    in_flight: int = 0
    most_in_flight: int = 0

    async def post(self, part: Part) -> str:
        ref = f"m{len(self.calls)}"
        await self._call("post", part)
        self.messages[ref] = part
        return ref

    async def edit(self, ref: str, part: Part) -> None:
        if self.applies_anyway:
            self.messages[ref] = part
        await self._call("edit", part)
        self.messages[ref] = part

    async def delete(self, ref: str) -> None:
        await self._call("delete", None)
        del self.messages[ref]

    async def find(self, nonce: str) -> str | None:
        await self._call("find", None)
        return next((ref for ref, part in self.messages.items() if part.nonce == nonce), None)

    async def _call(self, name: str, part: Part | None) -> None:
        self.calls.append((name, self.clock.now, part))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.slow:
                await self.slow()
            problem = self.errors.pop(0) if self.errors else self.later_error
            if problem:
                raise problem
        finally:
            self.in_flight -= 1

    @property
    def texts(self) -> list[str]:
        return [part.text for part in self.messages.values()]

    def times(self, name: str) -> list[float]:
        return [at for call, at, _ in self.calls if call == name]


class Harness:
    """A display on a channel, with its recorded parts."""

    def __init__(
        self, limits: Limits | None = None, *, parts: tuple[str, ...] = (), allowed: frozenset[str] = frozenset()
    ) -> None:
        self.clock = Clock()
        self.channel = Channel(self.clock, limits or Limits(2000, EVERY))
        self.recorded: list[tuple[int, str | None]] = []
        self.lost = False
        self.display = Display(
            self.channel,
            turn_id="t1",
            record=self.record,
            parts=parts,
            allowed=allowed,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )
        for ref in parts:
            self.channel.messages[ref] = Part("from before", "", "t1")

    async def record(self, index: int, ref: str | None) -> None:
        if self.lost:
            raise LeaseLost("taken over")
        if ref is None:
            assert len(self.channel.messages) == index
        self.recorded.append((index, ref))


async def turns(count: int = 40) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def stream(harness: Harness, text: str, step: int = 100) -> None:
    for end in range(step, len(text) + step, step):
        harness.display.show(text[:end])
        await turns(5)


SOURCE = Citation(1, "handbook.md", "Handbook", "30 days")


async def test_status_then_text_then_final_answer() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("Searching…")
        assert harness.channel.texts == ["Searching…"]
        display.show("Hello **wor")
        await turns()
        assert harness.channel.texts == ["Hello **wor**"]
        (streaming,) = harness.channel.messages.values()
        assert (streaming.actions, streaming.final, streaming.nonce) == (("stop",), False, "t1:0")
        shown = await display.close("Hello **world**", sources=[SOURCE], notes=["From memory"], actions=("up", "down"))
    assert tuple(harness.channel.messages.values()) == shown
    (part,) = shown
    assert (part.text, part.final, part.sources) == ("Hello **world**", True, (SOURCE,))
    assert (part.notes, part.actions) == (("From memory",), ("up", "down"))


async def test_a_message_is_recorded_before_it_is_posted_and_after() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        await display.close("word " * 900)
    refs = list(harness.channel.messages)
    assert len(refs) == 3
    assert harness.recorded == [(0, None), (0, refs[0]), (1, None), (1, refs[1]), (2, None), (2, refs[2])]


async def test_edits_keep_the_interval() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        await stream(harness, "word " * 300)
        await turns()
    times = harness.channel.times("edit")
    assert len(times) > 5
    assert all(later - earlier >= EVERY - 1e-6 for earlier, later in pairwise(times))


async def test_the_newest_text_follows_a_slow_edit() -> None:
    harness = Harness()
    gate = asyncio.Event()

    async with harness.display as display:
        await display.open("…")
        harness.channel.slow = lambda: _wait(gate)
        for text in ("one", "one two", "one two three", "one two three four"):
            display.show(text)
            await turns()
        assert len(harness.channel.calls) == 2
        gate.set()
        await turns()
        assert harness.channel.texts == ["one two three four"]
    assert len(harness.channel.calls) == 3
    assert harness.channel.most_in_flight == 1


async def test_the_final_text_waits_for_an_edit_in_flight() -> None:
    harness = Harness()
    gate = asyncio.Event()
    async with harness.display as display:
        await display.open("…")
        harness.channel.slow = lambda: _wait(gate)
        display.show("draft")
        await turns()
        closing = asyncio.create_task(display.close("final"))
        await turns()
        assert [part.text for _, _, part in harness.channel.calls if part] == ["…", "draft"]
        gate.set()
        await closing
    assert harness.channel.texts == ["final"]
    assert harness.channel.most_in_flight == 1


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def test_an_unchanged_message_is_not_edited() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        for _ in range(5):
            display.show("same")
            await turns()
        assert len(harness.channel.calls) == 2
        await display.close("same")
        assert len(harness.channel.calls) == 3


async def test_rate_limits_reduce_edits_and_the_final_text_arrives() -> None:
    calm, storm = Harness(), Harness()
    text = "word " * 350
    async with calm.display as display:
        await display.open("…")
        await stream(calm, text)
        await display.close(text)
    async with storm.display as display:
        await display.open("…")
        storm.channel.errors = [RateLimited("slow down", retry_after=10)] * 3
        await stream(storm, text)
        storm.channel.errors = [RateLimited("slow down", retry_after=10)] * 4
        before = storm.clock.now
        await display.close(text)
    assert storm.channel.texts == [text.strip()]
    assert storm.clock.now - before >= 40
    rate = len(storm.channel.calls) / (storm.clock.now - 1000)
    assert rate < len(calm.channel.calls) / (calm.clock.now - 1000)


async def test_the_edit_interval_recovers_slowly() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [None, RateLimited("slow down", retry_after=1)]
        await stream(harness, "word " * 400, step=50)
        await turns()
    edits = harness.channel.times("edit")[3:]
    gaps = [round(later - earlier, 6) for earlier, later in pairwise(edits)]
    assert gaps[0] > EVERY
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(EVERY)


async def test_retry_after_is_respected() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [RateLimited("slow down", retry_after=30)]
        display.show("text")
        await turns()
        display.show("text more")
        await turns()
    first, second, *_ = harness.channel.times("edit")
    assert second - first >= 30


@pytest.mark.parametrize("error", [SurfaceError("500"), TimeoutError("edit"), ConnectionResetError()])
async def test_temporary_failures_are_retried(error: Exception) -> None:
    harness = Harness()
    harness.channel.errors = [error, error]
    async with harness.display as display:
        await display.open("Searching…")
        assert harness.channel.texts == []
        await turns()
        assert harness.channel.texts == ["Searching…"]
        harness.channel.errors = [error, error, error]
        await display.close("final")
    assert harness.channel.texts == ["final"]


async def test_an_edit_that_failed_after_it_was_applied_is_repeated() -> None:
    harness = Harness()
    drafts = ["a b", "a"]
    async with harness.display as display:
        await display.open("…")
        display.show("a")
        await turns()
        harness.channel.errors = [TimeoutError("applied all the same")]
        harness.channel.applies_anyway = True
        display.show(lambda: drafts.pop(0) if len(drafts) > 1 else drafts[0])
        await turns()
        assert [part.text for _, _, part in harness.channel.calls if part] == ["…", "a", "a b", "a"]
        assert harness.channel.texts == ["a"]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SurfaceError("down"), SurfaceError),
        (PlatformAway("down"), PlatformAway),
        (TimeoutError("down"), PlatformAway),
        (StoreAway("down"), PlatformAway),
        (KeyError("down"), SurfaceError),
    ],
)
async def test_a_failure_that_lasts_is_raised_after_a_short_time(error: Exception, kind: type[SurfaceError]) -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.later_error = error
        with pytest.raises(SurfaceError) as raised:
            await display.close("final")
    assert type(raised.value) is kind
    assert 10 <= harness.clock.now - 1000 < 20


@pytest.mark.parametrize(("wait", "is_waited"), [(90.0, True), (300.0, False)])
async def test_a_final_text_waits_out_a_rate_limit_of_up_to_two_minutes(wait: float, is_waited: bool) -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.errors = [RateLimited("slow down", retry_after=wait)]
        if is_waited:
            await display.close("final")
        else:
            with pytest.raises(RateLimited) as raised:
                await display.close("final")
            assert raised.value.retry_after == wait
    assert (harness.channel.texts == ["final"]) == is_waited
    assert harness.clock.now - 1000 < (wait if is_waited else 0) + 20


async def test_a_final_text_does_not_wait_for_the_long_rate_limit_of_another_reply() -> None:
    harness, shared = Harness(), SharedPacing(50.0)
    display = Display(
        harness.channel,
        turn_id="t1",
        record=harness.record,
        shared=shared,
        monotonic=harness.clock.monotonic,
        sleep=harness.clock.sleep,
    )
    shared.refused(harness.clock.now, 300.0)
    async with display:
        with pytest.raises(RateLimited) as raised:
            await display.close("final")
    assert raised.value.retry_after == 300
    assert harness.channel.calls == []


async def test_a_deleted_message_ends_the_display() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("…")
        harness.channel.later_error = MessageGone("deleted")
        display.show("a")
        await turns()
        assert display.gone
        calls = len(harness.channel.calls)
        display.show("a b")
        await turns()
        assert len(harness.channel.calls) == calls
        with pytest.raises(MessageGone):
            await display.close("final")


async def test_a_lost_lease_ends_the_display() -> None:
    harness = Harness(Limits(100, EVERY))
    harness.lost = True
    with pytest.raises(LeaseLost):
        await harness.display.open("…")
    assert harness.channel.calls == []
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("…")
        harness.lost = True
        display.show("word " * 60)
        await turns()
        with pytest.raises(LeaseLost):
            await display.close("word " * 60)
    assert len(harness.channel.messages) == 1


async def test_after_a_crash_the_recorded_messages_are_edited() -> None:
    harness = Harness(Limits(100, EVERY), parts=("old0", "old1", "old2"))
    async with harness.display as display:
        await display.open("Going on…")
        assert harness.channel.messages["old0"].text == "Going on…"
        await display.close("word " * 30)
    assert list(harness.channel.messages) == ["old0", "old1"]
    assert all(part.final for part in harness.channel.messages.values())
    assert harness.recorded == []
    assert harness.channel.times("post") == []


async def test_a_restart_overwrites_the_draft_and_deletes_surplus_messages() -> None:
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("Searching…")
        await stream(harness, "first attempt " * 30)
        await turns()
        assert len(harness.channel.messages) > 3
        display.show("")
        await turns()
        assert harness.channel.texts[0] == "Searching…"
        await display.close("Second attempt.")
    assert harness.channel.texts == ["Second attempt."]


async def test_a_surplus_message_that_cannot_be_deleted_does_not_spoil_the_answer() -> None:
    harness = Harness(Limits(100, EVERY))
    async with harness.display as display:
        await display.open("…")
        await stream(harness, "word " * 30)
        await turns()
        harness.channel.errors = [None, MessageGone("already")]
        shown = await display.close("Short.")
    assert [part.text for part in shown] == ["Short."]


async def test_thirty_thousand_characters_arrive_in_full_with_few_edits() -> None:
    harness = Harness(Limits(2000, EVERY, 40))
    text = "\n\n".join(f"## Chapter {n}\n\n" + f"Sentence {n} says something. " * 20 for n in range(55))
    assert len(text) > 30_000
    async with harness.display as display:
        await display.open("…")
        await stream(harness, text, step=400)
        finished = [part for part in harness.channel.messages.values() if part.final]
        assert len(finished) == len(harness.channel.messages) - 1
        before = len(harness.channel.calls)
        shown = await display.close(text, sources=[SOURCE], actions=("up",))
        assert len(harness.channel.calls) - before <= 2
    assert "".join("".join(harness.channel.texts).split()) == "".join(text.split())
    assert [part.text for part in shown] == harness.channel.texts
    assert all(part.final and not part.sources and not part.actions for part in shown[:-1])
    assert shown[-1].sources == (SOURCE,)
    assert all(len(text) <= 2000 for text in harness.channel.texts)
    assert not shown[-1].notes


async def test_a_too_long_answer_ends_with_a_notice() -> None:
    harness = Harness(Limits(500, EVERY, 3))
    text = " ".join(f"word{n}" for n in range(1000))
    async with harness.display as display:
        await display.open("…")
        shown = await display.close(text)
    assert len(harness.channel.messages) == 3
    assert "too long to show in full" in harness.channel.texts[-1]
    assert shown[-1].notes == (said.REST_CUT,)


@dataclass
class Uploads(Channel):
    """A channel that takes files, or refuses them with ``refusal``."""

    refusal: Exception | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    async def hand_over(self, name: str, data: bytes) -> None:
        if self.refusal:
            raise self.refusal
        self.files[name] = data


@pytest.mark.parametrize("refusal", [None, SurfaceError("missing_scope"), MessageGone("no permission")])
async def test_the_note_about_the_file_is_true(refusal: Exception | None) -> None:
    clock = Clock()
    channel = Uploads(clock, Limits(500, EVERY, 3), refusal=refusal)
    text = " ".join(f"word{n}" for n in range(1000))

    async def record(index: int, ref: str | None) -> str | None:
        return ref

    display = Display(channel, turn_id="t1", record=record, monotonic=clock.monotonic, sleep=clock.sleep)
    async with display:
        await display.open("…")
        shown = await display.close(text, notes=["A note"], actions=("up",))
    last = list(channel.messages.values())[-1]
    assert last == shown[-1]
    assert last.notes == ("A note", said.REST_CUT if refusal else said.REST_IN_FILE)
    assert last.actions == ("up",)
    assert channel.files == ({} if refusal else {said.WHOLE_ANSWER: text.encode()})
    assert clock.now < 1000 + 60


async def test_everything_shown_is_sanitized() -> None:
    allowed = urls_in("https://ok.example/page")
    harness = Harness(allowed=allowed)
    text = "See [this](https://evil.example/?q=1), [that](https://ok.example/page) <!channel> ![x](https://evil.example/i.png)"
    async with harness.display as display:
        await display.open("<!here> https://evil.example")
        await stream(harness, text, step=3)
        await display.close(text)
    seen = [part.text for _, _, part in harness.channel.calls if part]
    assert len(seen) > 5
    for shown in seen:
        assert "](https://evil" not in shown
        assert "<!" not in shown
        assert sanitize(shown, allowed) == shown
    assert "[that](https://ok.example/page)" in harness.channel.texts[0]


@given(
    st.lists(
        st.sampled_from(["`", "```\n", "[a](", "http://evil.example/x ", ")", "\n", "<b>", "word " * 9, "\\", "|"]),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_part_is_sanitized_and_fits(pieces: list[str]) -> None:
    for part in rendered("".join(pieces), Limits(100, 1.0, 50), frozenset()).parts:
        assert len(part) <= 100
        assert sanitize(part, frozenset()) == part


async def test_an_abandoned_display_leaves_no_task() -> None:
    harness = Harness()
    tasks = asyncio.all_tasks()
    await harness.display.open("…")
    harness.display.show("text")
    assert len(asyncio.all_tasks()) == len(tasks) + 1
    await harness.display.abandon()
    await harness.display.abandon()
    assert asyncio.all_tasks() == tasks


async def test_a_cancelled_turn_leaves_no_task() -> None:
    harness = Harness()
    tasks = asyncio.all_tasks()

    async def turn() -> None:
        async with harness.display as display:
            await display.open("…")
            await asyncio.Event().wait()

    running = asyncio.create_task(turn())
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == tasks


async def test_an_empty_answer_still_ends_the_placeholder() -> None:
    harness = Harness()
    async with harness.display as display:
        await display.open("Searching…")
        (part,) = await display.close("")
    assert part.final
    assert harness.channel.texts == ["Searching…"]


def test_a_text_that_is_not_split_is_sanitized_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gated: list[str] = []

    def counted(text: str, allowed: frozenset[str]) -> str:
        gated.append(text)
        return output_filter.sanitize(text, allowed)

    monkeypatch.setattr(cutting, "sanitize", counted)
    assert rendered("One short answer.", Limits(4000, 0.0), frozenset()).parts == ["One short answer."]
    assert gated == ["One short answer."]
    cut = rendered("word " * 200 + "`code " + "word " * 200 + "`", Limits(600, 0.0), frozenset())
    assert len(cut.parts) > 1
    assert len(gated) > 1 + len(cut.parts), "what was cut is gated again"
