"""A prompt over the model's context is trimmed once, to what the error names, and never sent again unchanged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bot.engine.answer import prompt as prompts
from bot.engine.ports.llm import Event, Prompt
from bot.errors import ContextTooLong
from bot.types.conversation import History, PastMessage
from tests.engine.fakes import NOON, FakeStores, Library, Screen, Script, Writer, passage, turn, words
from tests.engine.test_engine import ANSWER, RULE, engine, failing, script

LONG = tuple(passage(f"Rule {n} says: " + "a journey may last nine days " * 60, n) for n in range(2, 21))
SYSTEM = words(prompts.SYSTEM)


@dataclass
class SmallServer(Writer):
    """A model server with a context of ``limit`` tokens, of which a word takes ``scale``. ``tells`` its numbers."""

    scripts: list[Script] = field(default_factory=list)
    limit: int = 2000
    scale: float = 1.0
    tells: bool = True

    def tokens(self, prompt: Prompt) -> int:
        return int(self.scale * prompts.size(prompt, words))

    async def stream(self, prompt: Prompt, *, meter: object) -> AsyncIterator[Event]:
        fits = self.tokens(prompt) + prompt.max_tokens <= self.limit
        self.scripts = [script(ANSWER) if fits else failing(self._error(prompt))]
        async for event in super().stream(prompt, meter=meter):  # type: ignore[arg-type]
            yield event

    def _error(self, prompt: Prompt) -> ContextTooLong:
        error = ContextTooLong("Too long. Ask a shorter question.", kind="context")
        if self.tells:
            error.limit, error.counted = self.limit, self.tokens(prompt)
        return error


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("limit", [2048, 4096])
async def test_the_named_context_decides_what_is_left_out(limit: int, scale: float) -> None:
    server = SmallServer(limit=limit, scale=scale)
    model = engine(FakeStores(), server, Library((RULE, *LONG)), prompt_tokens=20_000, passages=20)
    outcome = await model.handle(turn("How long may a trip last?"), Screen())
    assert outcome.state == "done"
    assert outcome.answer == ANSWER
    first, second = server.prompts
    assert server.tokens(second) + second.max_tokens <= limit
    assert second.passages[0] == RULE
    assert len(second.passages) < len(first.passages)
    assert server.tokens(second) > 0.5 * (limit - second.max_tokens), "what fits is kept"


async def test_history_is_left_out_as_well() -> None:
    text = "tell me of journeys " * 50
    past = tuple(PastMessage(n, "user", "Ann", text, words(text), NOON) for n in range(1, 9))
    server = SmallServer(limit=2600)
    outcome = await engine(FakeStores(past=History("", 0, past)), server, Library((RULE,))).handle(turn(), Screen())
    assert outcome.state == "done"
    first, second = server.prompts
    assert words(second.messages[0].text) < words(first.messages[0].text)
    assert server.tokens(second) + second.max_tokens <= 2600


async def test_half_is_kept_where_the_context_is_not_named() -> None:
    server = SmallServer(limit=3400, tells=False)
    outcome = await engine(FakeStores(), server, Library((RULE, *LONG)), passages=9).handle(turn(), Screen())
    assert outcome.state == "done"
    assert len(server.prompts) == 2


async def test_what_cannot_shrink_is_not_sent_again() -> None:
    for tells in (True, False):
        server = SmallServer(limit=200, tells=tells)
        screen = Screen()
        outcome = await engine(FakeStores(), server, Library((RULE,))).handle(turn(), screen)
        assert outcome.state == "failed"
        assert len(server.prompts) == 1
        assert "Ask a shorter question" in screen.last.text


async def test_it_is_trimmed_once() -> None:
    llm = Writer([failing(ContextTooLong("Too long.")) for _ in range(5)])
    store = FakeStores()
    outcome = await engine(store, llm, Library((RULE, *LONG))).handle(turn(), Screen())
    assert outcome.state == "failed"
    assert len(llm.prompts) == 2
    assert prompts.size(llm.prompts[1], words) < prompts.size(llm.prompts[0], words)
    assert store.reserved == 0


async def test_the_named_context_is_remembered_for_its_model() -> None:
    server = SmallServer(limit=2048, scale=1.6)
    model = engine(FakeStores(), server, Library((RULE, *LONG)), prompt_tokens=20_000, passages=20)
    first = await model.handle(turn(), Screen())
    assert len(server.prompts) == 2, "the first prompt is refused, and its error names the context"
    second = await model.handle(turn("How long may a trip last?"), Screen())
    assert (first.state, second.state) == ("done", "done")
    assert len(server.prompts) == 3, "the next one is trimmed before it is sent"
    assert server.prompts[2].passages == server.prompts[1].passages
    assert any("2,048 tokens and was trimmed" in event for event in second.trace["restarts"])


async def test_a_prompt_that_fits_the_remembered_context_is_not_trimmed() -> None:
    server, library = SmallServer(limit=2600), Library((RULE, *LONG))
    model = engine(FakeStores(), server, library, prompt_tokens=20_000, passages=20)
    await model.handle(turn(), Screen())
    library.passages = (RULE,)
    outcome = await model.handle(turn("How long may a trip last?"), Screen())
    assert outcome.state == "done"
    assert len(server.prompts) == 3
    assert server.prompts[2].max_tokens == server.prompts[0].max_tokens


async def test_a_context_that_became_smaller_is_learned_from_the_next_error() -> None:
    server = SmallServer(limit=2048)
    model = engine(FakeStores(), server, Library((RULE, *LONG)), prompt_tokens=20_000, passages=20)
    await model.handle(turn(), Screen())
    server.limit = 1600
    outcome = await model.handle(turn("How long may a trip last?"), Screen())
    assert outcome.state == "done"
    assert len(server.prompts) == 4
