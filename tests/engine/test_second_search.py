"""The strong model may ask for one more round of searches; whatever it asks for, the bounds and the answer stand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from bot.config import Settings
from bot.engine.answer import prompt, second_search
from bot.engine.answer.budget_limits import PASSAGE_SHARE
from bot.engine.engine import Engine
from bot.engine.ports.llm import Message, Meter, Prompt
from bot.engine.ports.search_planner import SearchPlan
from bot.errors import LLMError, OverBudget
from bot.types.display import Activity
from bot.types.turns import Outcome
from bot.types.usage import Tier
from knowledge.errors import KnowledgeError
from knowledge.types.scope import Scope
from knowledge.types.search_results import Found, Passage
from tests.engine.fakes import MIDNIGHT, NOON, FakeStores, Library, Screen, Writer, call, passage, turn, words
from tests.engine.test_engine import script

QUESTION = "Who approves travel for the team that builds Heron?"
TEAM = passage("Heron is built by the Delta team.", 1)
LEAD = passage("Mira Voss leads Delta and approves its travel.", 2)
NEXT = "Who leads the Delta team?"
ANSWER = "Mira Voss leads Delta and approves its travel [2]."
FAR_AWAY = "Heron is a device."


class TwoSteps(Library):
    """Finds who leads a team only for a question that names the team. ``fails`` are questions whose search fails."""

    fails: tuple[str, ...] = ()

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        await super().__call__(query, scope, k=k, earlier=earlier)
        if query in self.fails:
            raise KnowledgeError("The index is being rebuilt.")
        return Found(self._found(query)[:k], {"total": 1.0}, 0.9, 1, searched=query)

    def _found(self, query: str) -> tuple[Passage, ...]:
        return (LEAD,) if "Delta" in query else self.passages or (TEAM,)


@dataclass
class Planner:
    """A planner with a fixed plan, or an error. Its call costs ``cost`` tokens."""

    plan: SearchPlan = SearchPlan("who leads Delta", (NEXT,))
    error: Exception | None = None
    cost: int = 7
    asked: list[Prompt] = field(default_factory=list)
    waits: bool = False

    def prompt(
        self, question: str, passages: Sequence[Passage], searched: Sequence[str], *, most: int, cache_key: str = ""
    ) -> Prompt:
        said = f"{most} {question} {' | '.join(searched)}"
        return Prompt("plan", "strong", "Plan.", (Message("user", said),), max_tokens=10, passages=tuple(passages))

    async def __call__(self, request: Prompt, *, meter: Meter) -> SearchPlan:
        self.asked.append(request)
        if self.waits:
            await asyncio.Event().wait()
        meter(replace(call(self.cost, 0), purpose="plan", tier="strong"))
        if self.error:
            raise self.error
        return self.plan


@dataclass
class Indicator(Screen):
    """A screen that shows activities."""

    activity_seconds: float = 60.0
    shown: list[str] = field(default_factory=list)

    async def show_activity(self, activity: Activity | None) -> None:
        self.shown.append(activity.text if activity else "")


async def answered(
    planner: Planner,
    library: Library,
    *,
    question: str = QUESTION,
    tier: Tier = "strong",
    stores: FakeStores | None = None,
    screen: Screen | None = None,
    passages: int = 5,
) -> tuple[Outcome, Writer]:
    """Answer a question and return its outcome and the model that was asked."""
    writer = Writer([script(ANSWER)])
    engine = Engine(
        stores=(stores or FakeStores()).stores,
        search=library,
        llm=writer,
        settings=Settings(_env_file=None, PARLEY_ANSWER_CACHE_HOURS=0, PARLEY_PASSAGES=passages),
        count_tokens=words,
        planner=planner,
        clock=lambda: NOON,
    )
    return await engine.handle(turn(question, wish=tier), screen or Screen()), writer


def searches(library: Library) -> list[str]:
    return [query for query, _ in library.queries]


async def test_the_answer_cites_what_the_second_round_finds_and_why_shows_it() -> None:
    planner, library, screen = Planner(), TwoSteps(), Indicator()
    outcome, writer = await answered(planner, library, screen=screen)
    assert searches(library) == [QUESTION, NEXT]
    assert [one.text for one in writer.prompts[0].passages] == [TEAM.text, LEAD.text]
    assert [one.quote for one in outcome.citations] == [LEAD.text]
    assert outcome.trace["searched_again"] == [NEXT]
    assert "searched again, because this was missing: who leads Delta" in outcome.trace["restarts"]
    assert {"plan", "second search"} <= outcome.timings_ms.keys()
    assert [one.purpose for one in outcome.calls] == ["plan", "answer"]
    assert planner.asked[0].passages == (TEAM,)


async def test_the_activity_says_that_more_is_searched_for_without_the_models_words() -> None:
    screen, reached = Indicator(), asyncio.Event()

    class Shown(TwoSteps):
        async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
            while query == NEXT and "is searching for 1 more thing…" not in screen.shown:
                await asyncio.sleep(0)
            reached.set()
            return await super().__call__(query, scope, k=k, earlier=earlier)

    await asyncio.wait_for(answered(Planner(), Shown(), screen=screen), 120)
    assert not any(NEXT in text for text in screen.shown)


@pytest.mark.parametrize(
    ("plan", "more"),
    [
        ((), []),
        (("", "  ", "?!", "…"), []),
        ((QUESTION, QUESTION.upper(), f" {QUESTION.rstrip('?')} "), []),
        ((NEXT, NEXT.lower(), NEXT.rstrip("?"), NEXT), [NEXT]),
        (("Who? 1", "Who? 2", "Who? 3", "Who? 4", "Who? 5"), ["Who? 1", "Who? 2", "Who? 3"]),
    ],
)
async def test_only_three_searches_that_ask_for_something_not_yet_searched_are_made(
    plan: tuple[str, ...], more: list[str]
) -> None:
    library = TwoSteps()
    outcome, _ = await answered(Planner(SearchPlan("all of it", plan)), library)
    assert searches(library) == [QUESTION, *more]
    assert outcome.state == "done"
    assert outcome.trace["searched_again"] == more


async def test_there_are_six_searches_in_both_rounds() -> None:
    asked = "What may a hotel cost in Rome, and in Oslo, and in Ghent?"
    many = SearchPlan("all", tuple(f"Delta {number}?" for number in range(9)))
    library, planner = TwoSteps(), Planner(many)
    await answered(planner, library, question=asked)
    first = len([one for one in searches(library) if not one.startswith("Delta")])
    assert first > 1
    assert len(searches(library)) == second_search.MAX_SEARCHES == 6
    assert planner.asked[0].messages[0].text.startswith(str(6 - first))


@pytest.mark.parametrize("question", ["Who leads Delta?", "When is pay day?", "Hotel limit Oslo", "hello"])
async def test_a_simple_question_is_never_planned(question: str) -> None:
    planner = Planner()
    own = TwoSteps(passages=(passage("Mira leads Delta. Pay day is the 25th. The hotel limit in Oslo is 190 EUR.", 3),))
    await answered(planner, own, question=question)
    assert planner.asked == []
    assert len(own.queries) <= 1


async def test_the_cheap_model_is_never_asked_for_a_plan() -> None:
    planner, library = Planner(), TwoSteps()
    await answered(planner, library, tier="cheap")
    assert planner.asked == []


async def test_a_search_that_found_nothing_is_not_repeated() -> None:
    class Nothing(TwoSteps):
        async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
            return replace(await super().__call__(query, scope, k=k), confidence=0.0)

    planner = Planner()
    await answered(planner, Nothing())
    assert planner.asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LLMError("The answer is not JSON.", kind="schema"), "no second round of searches (schema)"),
        (LLMError("The model declined.", kind="refused"), "no second round of searches (refused)"),
        (OverBudget("Too few tokens are left.", used=9, limit=9, resets_at=MIDNIGHT, whose="user"), "Too few tokens"),
    ],
)
async def test_a_failed_plan_leaves_the_first_passages_and_its_cost(error: Exception, said: str) -> None:
    outcome, writer = await answered(Planner(error=error), TwoSteps())
    assert outcome.state == "done"
    assert [one.text for one in writer.prompts[0].passages] == [TEAM.text]
    assert any(said in line for line in outcome.trace["restarts"])
    assert [one.purpose for one in outcome.calls] == ["plan", "answer"]


async def test_a_search_that_fails_in_the_second_round_leaves_the_first_passages() -> None:
    library = TwoSteps()
    library.fails = (NEXT,)
    outcome, writer = await answered(Planner(), library)
    assert outcome.state == "done"
    assert [one.text for one in writer.prompts[0].passages] == [TEAM.text]
    assert outcome.trace["searched_again"] == []


async def test_the_second_round_ends_at_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_search, "SECONDS", 0.01)
    outcome, writer = await answered(Planner(waits=True), TwoSteps())
    assert outcome.state == "done"
    assert [one.text for one in writer.prompts[0].passages] == [TEAM.text]
    assert any("took longer than 0.01 s" in line for line in outcome.trace["restarts"])


async def test_nothing_is_planned_if_the_answer_itself_might_no_longer_fit_the_budget() -> None:
    stores, planner = FakeStores(), Planner()
    stores.limit = Settings(_env_file=None).prompt_tokens
    outcome, _ = await answered(planner, TwoSteps(), stores=stores)
    assert outcome.state == "done"
    assert planner.asked == []
    assert "no second round of searches: too few tokens are left today" in outcome.trace["restarts"]


async def test_the_passages_of_both_rounds_share_the_prompts_budget() -> None:
    long = tuple(passage(f"{FAR_AWAY} {number} " + "filler " * 900, 10 + number) for number in range(5))
    outcome, writer = await answered(Planner(), TwoSteps(passages=long))
    given = writer.prompts[0].passages
    assert LEAD in given, "each search has room"
    room = Settings(_env_file=None).prompt_tokens * PASSAGE_SHARE
    assert prompt.fitting(given, int(room), words) == given
    assert outcome.trace["passages_left_out"] > 0
