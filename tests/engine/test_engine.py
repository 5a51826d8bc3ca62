"""One turn through the engine with fakes: every way in which it can end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.config import Settings
from bot.engine import user_messages as said
from bot.engine.answer import prompt
from bot.engine.engine import Engine
from bot.engine.ports.llm import Ended, Event, Prompt, Restarted
from bot.errors import LeaseLost, LLMError
from bot.types.conversation import History, PastMessage
from bot.types.display import Part
from bot.types.settings import ChannelSettings
from bot.types.turns import Lease, Outcome, Turn
from knowledge.errors import EmbeddingError
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Script, Writer, passage, says, turn, words

RULE = passage("A journey may last at most nine days. Longer ones need a yes from Finance.")
OTHER = passage("Dogs are welcome in the office on Fridays.", 2)
ANSWER = "A journey may last at most nine days [1]."


def engine(store: FakeStores, llm: Writer, library: Library | None = None, **settings: object) -> Engine:
    made = Settings(_env_file=None, **settings)  # type: ignore[arg-type]
    return Engine(
        stores=store.stores,
        search=library or Library((RULE, OTHER)),
        llm=llm,
        settings=made,
        count_tokens=words,
        clock=lambda: NOON,
    )


def script(*pieces: str | Event) -> Script:
    return lambda _: says(*pieces)


def failing(error: LLMError, *before: str) -> Script:
    async def play(_: Prompt) -> AsyncIterator[str | Event]:
        for piece in before:
            yield piece
        raise error

    return play


async def test_an_answer_is_shown_cited_and_stored_with_what_it_cost() -> None:
    store, screen, llm = FakeStores(), Screen(), Writer([script("A journey may last ", "at most nine days [1].")])
    outcome = await engine(store, llm).handle(turn(), screen)
    assert outcome.state == "done"
    assert outcome.answer == ANSWER
    (citation,) = outcome.citations
    assert citation.quote in RULE.text
    assert (citation.n, citation.source, citation.start) == (1, "rules1.md", 100 + RULE.text.index(citation.quote))
    assert screen.last.text == ANSWER
    assert screen.last.final
    assert screen.last.sources == outcome.citations
    (stored,) = store.finished
    assert replace(stored, deliver_in=None, timings_ms=outcome.timings_ms) == outcome
    assert store.ended == [""]
    assert (store.used, store.reserved) == (outcome.usage.total_tokens, 0)
    assert store.parts == {0: "m0"}


async def test_a_sign_of_life_comes_before_the_search() -> None:
    screen = Screen()
    seen: list[str] = []

    class Watching(Library):
        async def __call__(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            seen.append(screen.last.text)
            return await super().__call__(*args, **kwargs)  # type: ignore[arg-type]

    await engine(FakeStores(), Writer([script(ANSWER)]), Watching((RULE,))).handle(turn(), screen)
    assert seen == [said.SEARCHING]


async def test_a_restart_in_mid_stream_overwrites_the_draft() -> None:
    screen = Screen()
    llm = Writer([script("Nonsense that ", Restarted("the other provider"), ANSWER)])
    outcome = await engine(FakeStores(), llm).handle(turn(), screen)
    assert outcome.answer == ANSWER
    assert outcome.trace["restarts"] == ["the other provider"]
    assert len(screen.messages) == 1


async def test_a_refused_budget_says_when_it_resets_and_calls_nobody() -> None:
    store, screen, llm = FakeStores(limit=50), Screen(), Writer([])
    outcome = await engine(store, llm).handle(turn(), screen)
    assert outcome.state == "refused"
    assert "resets at 00:00 (UTC), in 12 h 0 min" in screen.last.text
    assert llm.prompts == []
    assert (store.used, store.reserved) == (0, 0)


async def test_little_budget_left_makes_the_answer_shorter() -> None:
    plain = Writer([script(ANSWER)])
    await engine(FakeStores(), plain).handle(turn(), Screen())
    spent = sum(words(message.text) + 6 for message in plain.prompts[0].messages) + words(plain.prompts[0].system) + 12
    llm = Writer([script(ANSWER)])
    outcome = await engine(FakeStores(limit=spent + 300), llm).handle(turn(), Screen())
    assert outcome.state == "done"
    assert llm.prompts[0].max_tokens == 300


async def test_near_the_budget_the_exact_count_decides() -> None:
    roomy, tight = Writer([script(ANSWER)], exact=40), Writer([script(ANSWER)], exact=40)
    await engine(FakeStores(), roomy).handle(turn(), Screen())
    spent = sum(words(message.text) + 6 for message in roomy.prompts[0].messages) + words(roomy.prompts[0].system) + 12
    outcome = await engine(FakeStores(limit=spent), tight).handle(turn(), Screen())
    assert (outcome.state, tight.prompts[0].max_tokens) == ("done", spent - 40)
    assert (roomy.counted, tight.counted) == (0, 1)


async def test_an_answer_asked_for_again_stays_as_short_as_was_reserved() -> None:
    plain = Writer([script(ANSWER)])
    await engine(FakeStores(), plain).handle(turn(), Screen())
    spent = sum(words(message.text) + 6 for message in plain.prompts[0].messages) + words(plain.prompts[0].system) + 12
    llm = Writer([script(""), script(ANSWER)])
    await engine(FakeStores(limit=spent + 300), llm).handle(turn(), Screen())
    assert [prompt.max_tokens for prompt in llm.prompts] == [300, 300]


async def test_a_lease_lost_at_the_last_edit_still_pays_for_the_calls() -> None:
    class Taken(Screen):
        async def edit(self, ref: str, part: Part) -> None:
            if part.final:
                raise LeaseLost("taken over")
            await super().edit(ref, part)

    store = FakeStores()
    with pytest.raises(LeaseLost):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), Taken())
    assert [len(outcome.calls) for outcome in store.finished] == [1]
    assert store.ended == []
    assert store.reserved == 0
    assert store.used > 0


async def test_the_warning_comes_once_when_the_line_is_crossed() -> None:
    first = await engine(FakeStores(limit=5000, used=3990), Writer([script(ANSWER)])).handle(turn(), Screen())
    assert any("% of today's token limit" in note for note in first.trace["notes"])
    later = await engine(FakeStores(limit=5000, used=4010), Writer([script(ANSWER)])).handle(turn(), Screen())
    assert not any("% of today's token limit" in note for note in later.trace["notes"])


async def test_a_failed_model_is_told_with_a_trace_and_leaves_nothing_reserved() -> None:
    store, screen = FakeStores(), Screen()
    error = LLMError("No model could be reached just now. Try again in a minute.")
    outcome = await engine(store, Writer([failing(error, "Half an ")])).handle(turn(), screen)
    assert outcome.state == "failed"
    assert screen.last.text == "No model could be reached just now. Try again in a minute. (Trace ID 7b1c)"
    assert store.reserved == 0
    assert store.used > 0


async def test_a_stream_without_its_end_is_no_answer() -> None:
    class Cut(Writer):
        async def stream(self, prompt: Prompt, *, meter: object) -> AsyncIterator[Event]:
            async for event in super().stream(prompt, meter=meter):  # type: ignore[arg-type]
                if not isinstance(event, Ended):
                    yield event

    outcome = await engine(FakeStores(), Cut([script("Half")])).handle(turn(), Screen())
    assert outcome.state == "failed"
    assert "incomplete" in (outcome.refused or "")


async def test_an_empty_answer_is_asked_for_once_more() -> None:
    outcome = await engine(FakeStores(), Writer([script(""), script(ANSWER)])).handle(turn(), Screen())
    assert outcome.answer == ANSWER
    twice = await engine(FakeStores(), Writer([script(""), script(" ")])).handle(turn(), Screen())
    assert twice.refused == said.NO_ANSWER


@pytest.mark.parametrize(("reason", "note"), [("cut", said.CUT), ("refused", said.DECLINED)])
async def test_an_answer_that_was_cut_or_declined_says_so(reason: str, note: str) -> None:
    async def play(_: Prompt) -> AsyncIterator[str | Event]:
        yield "A journey may last at most nine days [1]."
        yield Ended(reason, "m", "p")  # type: ignore[arg-type]

    outcome = await engine(FakeStores(), Writer([play])).handle(turn(), Screen())
    assert outcome.state == "done"
    assert note in outcome.trace["notes"]


async def test_a_search_that_fails_is_no_answer() -> None:
    library, llm = Library(error=EmbeddingError("The model is gone. Set it.")), Writer([script("I found nothing.")])
    screen = Screen()
    outcome = await engine(FakeStores(), llm, library).handle(turn(), screen)
    assert (outcome.state, outcome.answer, outcome.refused) == ("failed", "", "The model is gone. Set it.")
    assert screen.last.text.startswith("The model is gone. Set it. (Trace ID ")
    assert outcome.calls == ()


async def test_weak_evidence_is_not_shown_to_the_model() -> None:
    llm = Writer([script("The documents do not say.")])
    library = Library((RULE,), confidence=0.02)
    outcome = await engine(FakeStores(), llm, library).handle(turn("Who won the football cup?"), Screen())
    assert outcome.citations == ()
    assert llm.prompts[0].passages == ()
    assert "(nothing was found)" in llm.prompts[0].messages[-1].text
    assert outcome.trace["confidence"] == 0.02
    assert any("Who won the football cup?" in note for note in outcome.trace["notes"])


async def test_a_follow_up_that_finds_nothing_is_shown_as_it_was_asked() -> None:
    past = (PastMessage(1, "user", "Ann", "How much may I spend on a hotel in Oslo?", 10, NOON),)
    asked = "What is the capital of Mongolia?"
    screen, library = Screen(), Library((RULE,), confidence=0.02)
    store = FakeStores(past=History("", 0, past))
    outcome = await engine(store, Writer([script("The documents do not say.")]), library).handle(turn(asked), screen)
    (note,) = screen.last.notes
    assert f"for “{asked}” and" in note
    assert outcome.trace["query"] == asked


async def test_of_evidence_that_is_weak_the_model_is_told_so() -> None:
    likely, weak = Writer([script(ANSWER)]), Writer([script(ANSWER)])
    await engine(FakeStores(), likely, Library((RULE,), weak_below=0.4)).handle(turn(), Screen())
    await engine(FakeStores(), weak, Library((RULE,), confidence=0.3, weak_below=0.4)).handle(turn(), Screen())
    assert weak.prompts[0].passages == likely.prompts[0].passages == (RULE,)
    assert prompt.LOW_CONFIDENCE in weak.prompts[0].messages[-1].text
    assert prompt.LOW_CONFIDENCE not in likely.prompts[0].messages[-1].text


async def test_the_second_asking_comes_from_the_cache_unless_fresh() -> None:
    store, llm = FakeStores(), Writer([script(ANSWER), script(ANSWER)])
    made = engine(store, llm)
    first = await made.handle(turn(), Screen())
    again = await made.handle(turn("how long may a JOURNEY last"), Screen())
    assert (again.cached, again.answer, again.citations) == (True, first.answer, first.citations)
    assert len(llm.prompts) == 1
    fresh = await made.handle(turn(fresh=True), Screen())
    assert not fresh.cached
    assert len(llm.prompts) == 2


async def test_a_follow_up_is_searched_with_the_words_it_leans_on_and_never_cached() -> None:
    past = (
        PastMessage(1, "user", "Ann", "How long may a journey to Lisbon last?", 8, NOON),
        PastMessage(1, "assistant", "Parley", "Nine days [1].", 3, NOON),
    )
    store, library, llm = FakeStores(past=History("", 0, past)), Library((RULE,)), Writer([script(ANSWER)])
    await engine(store, llm, library).handle(turn("And what does it cost?"), Screen())
    ((query, scope),) = library.queries
    assert query == "And what does it cost?"
    assert library.earlier == [("How long may a journey to Lisbon last?",)]
    assert llm.prompts[0].question == "And what does it cost?"
    assert llm.prompts[0].carried == ("journey", "Lisbon", "last")
    assert scope.audiences == ("tenant", "C1")
    assert store.answers == {}
    contents = [message.text for message in llm.prompts[0].messages]
    assert contents[0] == "Ann: How long may a journey to Lisbon last?"
    assert contents[1] == "Nine days."
    assert llm.prompts[0].messages[1].cache


async def test_a_stop_keeps_what_was_said_and_bills_it() -> None:
    store, screen, reached = FakeStores(), Screen(), asyncio.Event()

    async def endless(_: Prompt) -> AsyncIterator[str | Event]:
        yield "A journey may last at most nine days [1]. And then "
        reached.set()
        await asyncio.Event().wait()

    stopped = False
    task = asyncio.create_task(engine(store, Writer([endless])).handle(turn(), screen, stopped=lambda: stopped))
    await reached.wait()
    await asyncio.sleep(0)
    stopped = True
    task.cancel()
    outcome = await task
    assert outcome.state == "cancelled"
    assert outcome.answer.startswith("A journey may last at most nine days [1].")
    assert screen.last.text.endswith(said.STOPPED)
    assert store.used == outcome.usage.total_tokens > 0
    assert store.reserved == 0


async def test_a_shutdown_hands_the_turn_back() -> None:
    store, screen, reached = FakeStores(), Screen(), asyncio.Event()

    async def endless(_: Prompt) -> AsyncIterator[str | Event]:
        yield "A journey "
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(engine(store, Writer([endless])).handle(turn(), screen))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.finished == []
    assert len(store.handed_back) == 1
    assert store.reserved == 0
    assert screen.last.text == said.INTERRUPTED


async def test_a_lost_lease_ends_the_writing_and_bills_the_calls() -> None:
    store = FakeStores(lost=True)
    with pytest.raises(LeaseLost):
        await engine(store, Writer([script(ANSWER)])).handle(turn(), Screen())
    assert store.finished == []
    assert (len(store.billed), store.reserved) == (1, 0)


async def test_a_busy_thread_is_waited_for() -> None:
    outcome = await engine(FakeStores(busy=3), Writer([script(ANSWER)])).handle(turn(), Screen())
    assert outcome.state == "done"


async def test_what_breaks_unexpectedly_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    library = Library(error=RuntimeError("a bug"))
    screen = Screen()
    outcome = await engine(FakeStores(), Writer([]), library).handle(turn(), screen)
    assert outcome.state == "failed"
    assert "7b1c" in screen.last.text
    assert "a bug" not in screen.last.text
    assert "a bug" in caplog.text


async def test_an_answer_that_cannot_be_stored_ends_as_failed_with_what_it_cost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Picky(FakeStores):
        async def finish(self, turn: Turn, lease: Lease, outcome: Outcome, **rest: Any) -> None:
            if outcome.answer or outcome.trace:
                raise ValueError("cannot be stored")
            await super().finish(turn, lease, outcome, **rest)

    store, screen = Picky(), Screen()
    outcome = await engine(store, Writer([script(ANSWER)])).handle(turn(), screen)
    assert (outcome.state, outcome.refused) == ("failed", said.BROKEN)
    assert screen.last.text == said.failed(said.BROKEN, "7b1c")
    assert store.finished == [outcome]
    assert (len(outcome.calls), store.reserved, store.answers) == (1, 0, {})
    assert "cannot be stored" in caplog.text


async def test_the_channel_and_the_wish_decide_the_model() -> None:
    strong = await engine(FakeStores(channel=ChannelSettings(tier="strong")), Writer([script(ANSWER)])).handle(
        turn(), Screen()
    )
    assert strong.route is not None
    assert (strong.route.tier, strong.route.model) == ("strong", "fake-strong")
    llm = Writer([script(ANSWER)])
    wished = await engine(FakeStores(channel=ChannelSettings(tier="strong", persona="Be brief.")), llm).handle(
        turn(wish="cheap"), Screen()
    )
    assert wished.route is not None
    assert wished.route.tier == "cheap"
    assert "Be brief." in llm.prompts[0].system


async def test_a_thread_that_has_grown_is_summarised_in_whole_turns() -> None:
    past = tuple(
        PastMessage(n // 2, "assistant" if n % 2 else "user", "Ann", f"word {n} " * 50, 100, NOON + timedelta(hours=n))
        for n in range(40)
    )
    store, llm = FakeStores(past=History("Before.", 0, past)), Writer([script("They asked twenty things.")])
    await engine(store, llm).reflect(turn())
    assert store.summaries == [("They asked twenty things.", 15)]
    assert llm.prompts[0].purpose == "summary"
    *prefix, last = llm.prompts[0].messages
    assert "word 39" in prefix[-1].text
    assert "up to and with the one that begins “word 31" in last.text
    assert "word 32" not in last.text
    assert store.reserved == 0
    assert store.used > 0


async def test_a_short_thread_is_not_summarised() -> None:
    past = (PastMessage(1, "user", "Ann", "Short.", 1, NOON),)
    store = FakeStores(past=History("", 0, past))
    await engine(store, Writer([])).reflect(turn())
    assert store.summaries == []


async def test_compressed_passages_are_shown_and_the_originals_are_cited() -> None:
    long = replace(RULE, text=RULE.text + " " + " ".join(f"The canteen has dish number {n} today." for n in range(12)))
    whole, short = Writer([script(ANSWER)]), Writer([script(ANSWER)])
    await engine(FakeStores(), whole, Library((long,))).handle(turn(), Screen())
    outcome = await engine(FakeStores(), short, Library((long,)), PARLEY_COMPRESSION=True).handle(turn(), Screen())
    assert long.text in whole.prompts[0].messages[-1].text
    assert long.text not in short.prompts[0].messages[-1].text
    assert "nine days" in short.prompts[0].messages[-1].text
    [citation] = outcome.citations
    assert long.text[citation.start - long.start : citation.end - long.start] == citation.quote
