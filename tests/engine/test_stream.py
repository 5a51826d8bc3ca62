"""The display path against a surface with moods and a clock that only moves when somebody sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.display import output_filter
from bot.engine.display import split as cutting
from bot.engine.display.output_filter import safe, urls_in
from bot.engine.display.split import rendered
from bot.engine.display.stream import Display
from bot.errors import LeaseLost, MessageGone, RateLimited, SurfaceError
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
    """A surface: ``messages`` is what a person sees; ``trouble`` is raised in turn, None meaning none."""

    clock: Clock
    limits: Limits = Limits(2000, EVERY)
    messages: dict[str, Part] = field(default_factory=dict)
    calls: list[tuple[str, float, Part | None]] = field(default_factory=list)
    trouble: list[Exception | None] = field(default_factory=list)
    after_trouble: Exception | None = None
    applies_anyway: bool = False
    slow: Callable[[], Awaitable[None]] | None = None
    under_way: int = 0
    most_under_way: int = 0

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
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.slow:
                await self.slow()
            problem = self.trouble.pop(0) if self.trouble else self.after_trouble
            if problem:
                raise problem
        finally:
            self.under_way -= 1

    @property
    def texts(self) -> list[str]:
        return [part.text for part in self.messages.values()]

    def times(self, name: str) -> list[float]:
        return [at for call, at, _ in self.calls if call == name]


class Dispatcher:
    """A display on a channel, with the record of its parts."""

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


async def stream(dispatcher: Dispatcher, text: str, step: int = 100) -> None:
    for end in range(step, len(text) + step, step):
        dispatcher.display.show(text[:end])
        await turns(5)


SOURCE = Citation(1, "handbook.md", "Handbook", "30 days")


async def test_a_sign_of_life_then_the_text_then_the_end() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("Searching…")
        assert dispatcher.channel.texts == ["Searching…"]
        display.show("Hello **wor")
        await turns()
        assert dispatcher.channel.texts == ["Hello **wor**"]
        (streaming,) = dispatcher.channel.messages.values()
        assert (streaming.actions, streaming.final, streaming.nonce) == (("stop",), False, "t1:0")
        shown = await display.close("Hello **world**", sources=[SOURCE], notes=["From memory"], actions=("up", "down"))
    assert tuple(dispatcher.channel.messages.values()) == shown
    (part,) = shown
    assert (part.text, part.final, part.sources) == ("Hello **world**", True, (SOURCE,))
    assert (part.notes, part.actions) == (("From memory",), ("up", "down"))


async def test_a_message_is_recorded_before_it_is_posted_and_after() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        await display.close("word " * 900)
    refs = list(dispatcher.channel.messages)
    assert len(refs) == 3
    assert dispatcher.recorded == [(0, None), (0, refs[0]), (1, None), (1, refs[1]), (2, None), (2, refs[2])]


async def test_edits_keep_their_distance() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        await stream(dispatcher, "word " * 300)
        await turns()
    times = dispatcher.channel.times("edit")
    assert len(times) > 5
    assert all(later - earlier >= EVERY - 1e-6 for earlier, later in pairwise(times))


async def test_a_slow_edit_is_waited_for_and_the_newest_text_follows() -> None:
    dispatcher = Dispatcher()
    gate = asyncio.Event()

    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.slow = lambda: _wait(gate)
        for text in ("one", "one two", "one two three", "one two three four"):
            display.show(text)
            await turns()
        assert len(dispatcher.channel.calls) == 2
        gate.set()
        await turns()
        assert dispatcher.channel.texts == ["one two three four"]
    assert len(dispatcher.channel.calls) == 3
    assert dispatcher.channel.most_under_way == 1


async def test_the_end_waits_for_an_edit_under_way() -> None:
    dispatcher = Dispatcher()
    gate = asyncio.Event()
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.slow = lambda: _wait(gate)
        display.show("draft")
        await turns()
        closing = asyncio.create_task(display.close("final"))
        await turns()
        assert [part.text for _, _, part in dispatcher.channel.calls if part] == ["…", "draft"]
        gate.set()
        await closing
    assert dispatcher.channel.texts == ["final"]
    assert dispatcher.channel.most_under_way == 1


async def _wait(gate: asyncio.Event) -> None:
    await gate.wait()


async def test_nothing_is_edited_that_did_not_change() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        for _ in range(5):
            display.show("same")
            await turns()
        assert len(dispatcher.channel.calls) == 2
        await display.close("same")
        assert len(dispatcher.channel.calls) == 3


async def test_under_rate_limits_fewer_edits_and_the_end_arrives() -> None:
    calm, storm = Dispatcher(), Dispatcher()
    text = "word " * 350
    async with calm.display as display:
        await display.open("…")
        await stream(calm, text)
        await display.close(text)
    async with storm.display as display:
        await display.open("…")
        storm.channel.trouble = [RateLimited("slow down", retry_after=10)] * 3
        await stream(storm, text)
        storm.channel.trouble = [RateLimited("slow down", retry_after=10)] * 4
        before = storm.clock.now
        await display.close(text)
    assert storm.channel.texts == [text.strip()]
    assert storm.clock.now - before >= 40
    rate = len(storm.channel.calls) / (storm.clock.now - 1000)
    assert rate < len(calm.channel.calls) / (calm.clock.now - 1000)


async def test_the_pace_comes_back_slowly() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.trouble = [None, RateLimited("slow down", retry_after=1)]
        await stream(dispatcher, "word " * 400, step=50)
        await turns()
    edits = dispatcher.channel.times("edit")[3:]
    gaps = [round(later - earlier, 6) for earlier, later in pairwise(edits)]
    assert gaps[0] > EVERY
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(EVERY)


async def test_a_retry_after_is_kept() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.trouble = [RateLimited("slow down", retry_after=30)]
        display.show("text")
        await turns()
        display.show("text more")
        await turns()
    first, second, *_ = dispatcher.channel.times("edit")
    assert second - first >= 30


@pytest.mark.parametrize("error", [SurfaceError("500"), TimeoutError("edit"), ConnectionResetError()])
async def test_passing_failures_are_tried_again(error: Exception) -> None:
    dispatcher = Dispatcher()
    dispatcher.channel.trouble = [error, error]
    async with dispatcher.display as display:
        await display.open("Searching…")
        assert dispatcher.channel.texts == []
        await turns()
        assert dispatcher.channel.texts == ["Searching…"]
        dispatcher.channel.trouble = [error, error, error]
        await display.close("final")
    assert dispatcher.channel.texts == ["final"]


async def test_an_edit_that_was_applied_but_failed_is_made_again() -> None:
    dispatcher = Dispatcher()
    drafts = ["a b", "a"]
    async with dispatcher.display as display:
        await display.open("…")
        display.show("a")
        await turns()
        dispatcher.channel.trouble = [TimeoutError("applied all the same")]
        dispatcher.channel.applies_anyway = True
        display.show(lambda: drafts.pop(0) if len(drafts) > 1 else drafts[0])
        await turns()
        assert [part.text for _, _, part in dispatcher.channel.calls if part] == ["…", "a", "a b", "a"]
        assert dispatcher.channel.texts == ["a"]


async def test_what_never_works_is_told_after_the_deadline() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.after_trouble = SurfaceError("down")
        with pytest.raises(SurfaceError, match="down"):
            await display.close("final")
    assert 120 <= dispatcher.clock.now - 1000 < 140


async def test_a_deleted_message_ends_it() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.channel.after_trouble = MessageGone("deleted")
        display.show("a")
        await turns()
        assert display.gone
        calls = len(dispatcher.channel.calls)
        display.show("a b")
        await turns()
        assert len(dispatcher.channel.calls) == calls
        with pytest.raises(MessageGone):
            await display.close("final")


async def test_a_lost_lease_ends_it() -> None:
    dispatcher = Dispatcher(Limits(100, EVERY))
    dispatcher.lost = True
    with pytest.raises(LeaseLost):
        await dispatcher.display.open("…")
    assert dispatcher.channel.calls == []
    dispatcher = Dispatcher(Limits(100, EVERY))
    async with dispatcher.display as display:
        await display.open("…")
        dispatcher.lost = True
        display.show("word " * 60)
        await turns()
        with pytest.raises(LeaseLost):
            await display.close("word " * 60)
    assert len(dispatcher.channel.messages) == 1


async def test_after_a_crash_the_known_messages_are_used() -> None:
    dispatcher = Dispatcher(Limits(100, EVERY), parts=("old0", "old1", "old2"))
    async with dispatcher.display as display:
        await display.open("Going on…")
        assert dispatcher.channel.messages["old0"].text == "Going on…"
        await display.close("word " * 30)
    assert list(dispatcher.channel.messages) == ["old0", "old1"]
    assert all(part.final for part in dispatcher.channel.messages.values())
    assert dispatcher.recorded == []
    assert dispatcher.channel.times("post") == []


async def test_a_restart_overwrites_the_draft_and_leaves_nothing_behind() -> None:
    dispatcher = Dispatcher(Limits(100, EVERY))
    async with dispatcher.display as display:
        await display.open("Searching…")
        await stream(dispatcher, "first attempt " * 30)
        await turns()
        assert len(dispatcher.channel.messages) > 3
        display.show("")
        await turns()
        assert dispatcher.channel.texts[0] == "Searching…"
        await display.close("Second attempt.")
    assert dispatcher.channel.texts == ["Second attempt."]


async def test_a_surplus_message_that_cannot_be_deleted_does_not_spoil_the_answer() -> None:
    dispatcher = Dispatcher(Limits(100, EVERY))
    async with dispatcher.display as display:
        await display.open("…")
        await stream(dispatcher, "word " * 30)
        await turns()
        dispatcher.channel.trouble = [None, MessageGone("already")]
        shown = await display.close("Short.")
    assert [part.text for part in shown] == ["Short."]


async def test_thirty_thousand_characters_arrive_whole_with_few_edits() -> None:
    dispatcher = Dispatcher(Limits(2000, EVERY, 40))
    text = "\n\n".join(f"## Chapter {n}\n\n" + f"Sentence {n} says something. " * 20 for n in range(55))
    assert len(text) > 30_000
    async with dispatcher.display as display:
        await display.open("…")
        await stream(dispatcher, text, step=400)
        finished = [part for part in dispatcher.channel.messages.values() if part.final]
        assert len(finished) == len(dispatcher.channel.messages) - 1
        before = len(dispatcher.channel.calls)
        shown = await display.close(text, sources=[SOURCE], actions=("up",))
        assert len(dispatcher.channel.calls) - before <= 2
    assert "".join("".join(dispatcher.channel.texts).split()) == "".join(text.split())
    assert [part.text for part in shown] == dispatcher.channel.texts
    assert all(part.final and not part.sources and not part.actions for part in shown[:-1])
    assert shown[-1].sources == (SOURCE,)
    assert all(len(text) <= 2000 for text in dispatcher.channel.texts)
    assert display.rest == ""


async def test_what_is_too_long_for_the_place_is_left_over_and_said() -> None:
    dispatcher = Dispatcher(Limits(500, EVERY, 3))
    text = " ".join(f"word{n}" for n in range(1000))
    async with dispatcher.display as display:
        await display.open("…")
        await display.close(text)
    assert len(dispatcher.channel.messages) == 3
    assert "too long to show in full" in dispatcher.channel.texts[-1]
    assert display.rest.endswith("word999")


async def test_nothing_is_shown_that_the_gate_has_not_passed() -> None:
    allowed = urls_in("https://ok.example/page")
    dispatcher = Dispatcher(allowed=allowed)
    text = "See [this](https://evil.example/?q=1), [that](https://ok.example/page) <!channel> ![x](https://evil.example/i.png)"
    async with dispatcher.display as display:
        await display.open("<!here> https://evil.example")
        await stream(dispatcher, text, step=3)
        await display.close(text)
    seen = [part.text for _, _, part in dispatcher.channel.calls if part]
    assert len(seen) > 5
    for shown in seen:
        assert "](https://evil" not in shown
        assert "<!" not in shown
        assert safe(shown, allowed) == shown
    assert "[that](https://ok.example/page)" in dispatcher.channel.texts[0]


@given(
    st.lists(
        st.sampled_from(["`", "```\n", "[a](", "http://evil.example/x ", ")", "\n", "<b>", "word " * 9, "\\", "|"]),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_part_is_gated_and_fits(pieces: list[str]) -> None:
    for part in rendered("".join(pieces), Limits(100, 1.0, 50), frozenset()).parts:
        assert len(part) <= 100
        assert safe(part, frozenset()) == part


async def test_an_abandoned_display_leaves_no_task() -> None:
    dispatcher = Dispatcher()
    tasks = asyncio.all_tasks()
    await dispatcher.display.open("…")
    dispatcher.display.show("text")
    assert len(asyncio.all_tasks()) == len(tasks) + 1
    await dispatcher.display.abandon()
    await dispatcher.display.abandon()
    assert asyncio.all_tasks() == tasks


async def test_a_cancelled_turn_leaves_no_task() -> None:
    dispatcher = Dispatcher()
    tasks = asyncio.all_tasks()

    async def turn() -> None:
        async with dispatcher.display as display:
            await display.open("…")
            await asyncio.Event().wait()

    running = asyncio.create_task(turn())
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert asyncio.all_tasks() == tasks


async def test_an_empty_answer_still_ends_the_placeholder() -> None:
    dispatcher = Dispatcher()
    async with dispatcher.display as display:
        await display.open("Searching…")
        (part,) = await display.close("")
    assert part.final
    assert dispatcher.channel.texts == ["Searching…"]


def test_a_text_that_is_not_cut_is_gated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gated: list[str] = []

    def counted(text: str, allowed: frozenset[str]) -> str:
        gated.append(text)
        return output_filter.safe(text, allowed)

    monkeypatch.setattr(cutting, "safe", counted)
    assert rendered("One short answer.", Limits(4000, 0.0), frozenset()).parts == ["One short answer."]
    assert gated == ["One short answer."]
    cut = rendered("word " * 200 + "`code " + "word " * 200 + "`", Limits(600, 0.0), frozenset())
    assert len(cut.parts) > 1
    assert len(gated) > 1 + len(cut.parts), "what was cut is gated again"
