"""Threads replayed: dollars of an answer by Parley against a naive bot, on one double of the providers in one run.

    python -m benchmarks.thread_costs --data FOLDER [--threads 200]

FOLDER holds ``corpus.jsonl``, ``queries.jsonl`` (with ``user_turns``) and ``qrels.tsv``. Parley answers through its
engine, real SDK and Postgres. The naive bot asks the strong model with the whole history, the passages of every turn
in it, and no caching; a second one leaves the passages of earlier turns out. Both get the same passages and write the
same answers, so that only what is sent, to which model, and what is cached differ. Quality is not measured here.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from sqlalchemy import text

from benchmarks import prompt_layouts
from benchmarks.benchmark_database import fresh_postgres, table
from benchmarks.provider_clients import provider
from benchmarks.thread_data import Asked, read
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.answer import prompt
from bot.engine.engine import Engine
from bot.engine.memory import Selected
from bot.engine.ports.llm import LLM, Event, Message, Meter, Prompt
from bot.llm.anthropic import AnthropicLLM
from bot.llm.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter
from bot.store.session import Database
from bot.store.stores import open_stores
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.usage import Tier
from knowledge.types import Found, Passage, Scope
from tests.doubles.models import Billed, ModelDouble, Reply, Seen

TENANT = "benchmark"
MORNING = datetime(2026, 11, 23, 9, tzinfo=UTC)
BETWEEN = 30 * 86_400.0
"""Seconds of the double's clock between two bots: nothing of one is cached for the next."""
SUMMARY = "They asked about several things and were told what the documents say, with numbers and names. " * 5

_SET_TIME = text("UPDATE messages SET created_at = :at WHERE turn_id = :turn")
_PASSAGE = re.compile(r"^\[(\d+)\] [^\n]*\n(.+?)(?=\n\n\[\d+\] |\n</passages\b|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bot:
    """One bot's bill."""

    usd: Decimal
    answers: int
    prompt_tokens: int
    read_tokens: int

    @property
    def per_answer(self) -> Decimal:
        return self.usd / max(self.answers, 1)


@dataclass(frozen=True, slots=True)
class Result:
    """The bills, from the naive bot to Parley, and what of Parley's repeated prefixes came from the cache."""

    threads: int
    bots: dict[str, Bot]
    repeated: prompt_layouts.Repeated
    by_layout: dict[str, Decimal]
    models: Counter[str]
    left_out: int

    def cheaper(self, than: str) -> float:
        """The share that Parley saves."""
        return float(1 - self.bots["parley"].usd / self.bots[than].usd)


@dataclass
class Shelf:
    """A Search that finds what it was given."""

    passages: tuple[Passage, ...] = ()

    async def version(self, tenant_id: str) -> int:
        return 1

    async def __call__(self, query: str, scope: Scope, *, k: int = 5, earlier: Sequence[str] = ()) -> Found:
        return Found(self.passages[:k], {}, 0.9, 1)


@dataclass
class Recorder:
    """An LLM that keeps every prompt with the moment it was sent."""

    llm: LLM
    now: float = 0.0
    sent: list[tuple[float, Prompt]] = field(default_factory=list)

    def model(self, tier: Tier) -> str:
        return self.llm.model(tier)

    async def ready(self) -> None:
        await self.llm.ready()

    async def count(self, prompt: Prompt) -> int | None:
        return await self.llm.count(prompt)

    async def aclose(self) -> None:
        await self.llm.aclose()

    async def stream(self, prompt: Prompt, *, meter: Meter) -> AsyncIterator[Event]:
        self.sent.append((self.now, prompt))
        async for event in self.llm.stream(prompt, meter=meter):
            yield event


class Uncached(AnthropicLLM):
    """Asks for no breakpoint at all."""

    def _system(self, prompt: Prompt, model: str):  # type: ignore[no-untyped-def]
        return [{"type": "text", "text": prompt.system}]


def answer(last_message: str) -> str:
    """The same answer for every bot: the first two sentences of up to three passages, cited."""
    said = []
    for match in list(_PASSAGE.finditer(last_message))[:3]:
        sentences = re.split(r"(?<=[.!?])\s+", match[2].split("\n", 1)[-1].strip())
        said.append(f"{' '.join(sentences[:2])} [{match[1]}]")
    return "\n\n".join(said) or "The documents say nothing about it."


def script(seen: Seen) -> Reply:
    """Summaries get a summary, questions their answer."""
    about_memory = "You keep the memory of this conversation" in seen.messages[-1][1]
    return Reply(SUMMARY if about_memory else answer(seen.messages[-1][1]), piece=400)


async def measure(url: str, turns: Sequence[Asked]) -> Result:
    """Replay the turns on a migrated database."""
    async with ModelDouble() as double:
        double.script = script
        recorded, left_out = await _parley(url, turns, double)
        seen, bill = list(double.requests), list(double.bill)
        bots = {
            "naive": await _naive(turns, double, whole=True),
            "naive, passages of this turn only": await _naive(turns, double, whole=False),
            "trimmed": await _on_strong(recorded, double, cached=False),
            "trimmed and cached": await _on_strong(recorded, double, cached=True),
            "parley": _bill(bill, len(turns)),
        }
    return Result(
        threads=len({asked.thread for asked in turns}),
        bots=bots,
        repeated=prompt_layouts.repeated(seen, bill),
        by_layout=prompt_layouts.compare(recorded, seen, bill),
        models=Counter(line.model for line in bill),
        left_out=left_out,
    )


def _bill(lines: Sequence[Billed], answers: int) -> Bot:
    return Bot(
        sum((line.usd or Decimal(0) for line in lines), Decimal(0)),
        answers,
        sum(line.prompt.total for line in lines),
        sum(line.prompt.read for line in lines),
    )


async def _parley(url: str, turns: Sequence[Asked], double: ModelDouble) -> tuple[list[tuple[float, Prompt]], int]:
    database, counter, shelf = Database(url), TokenCounter(), Shelf()
    adapter = provider("anthropic", double, counter)
    llm = Recorder(ResilientLLM({"cheap": [adapter], "strong": [adapter]}, Timeouts()))
    made = Settings(_env_file=None, daily_tokens=0, answer_cache_hours=0)
    stores = open_stores(database, made, count_tokens=counter.count, clock=lambda: MORNING)
    engine = Engine(stores=stores, search=shelf, llm=llm, settings=made, count_tokens=counter.count)
    left_out = 0
    for asked in turns:
        at = MORNING + timedelta(seconds=asked.at)
        double.now = llm.now = asked.at
        shelf.passages = asked.passages
        key = ThreadKey(TENANT, "web", "general", f"T{asked.thread}")
        incoming = Incoming(key, uuid.uuid4().hex, _author(asked), asked.question, "mention", at)
        turn = await stores.inbox.accept(incoming)
        assert turn is not None
        async with database.tenant(TENANT) as session:
            await session.execute(_SET_TIME, {"at": at, "turn": turn.id})
        outcome = await engine.handle(replace(turn, created_at=at), NullSurface())
        assert outcome.state == "done", outcome.refused
        left_out += int(outcome.trace["messages_left_out"])
        await engine.reflect(turn)
    await llm.aclose()
    await database.aclose()
    return llm.sent, left_out


async def _naive(turns: Sequence[Asked], double: ModelDouble, *, whole: bool) -> Bot:
    """Every question with all that was said before; ``whole`` with the passages of all earlier turns as well."""
    past: dict[int, list[Message]] = {}
    sent = []
    for asked in turns:
        made = prompt.build(
            question=asked.question, searched=asked.question, author=_author(asked).name,
            past=Selected("", ()), passages=asked.passages, tier="strong", max_tokens=1000, persona=None,
            cache_key="", life=None,
        )  # fmt: skip
        history, last = past.setdefault(asked.thread, []), made.messages[-1]
        sent.append((asked.at, replace(made, messages=(*history, last))))
        said = last if whole else Message("user", f"{_author(asked).name}: {asked.question}")
        history += [said, Message("assistant", answer(last.text))]
    return await _on_strong(sent, double, cached=False)


async def _on_strong(sent: Sequence[tuple[float, Prompt]], double: ModelDouble, *, cached: bool) -> Bot:
    """The same prompts to the strong model; summaries stay with the cheap one."""
    adapter = provider("anthropic", double)
    assert isinstance(adapter, AnthropicLLM)
    if not cached:
        adapter = Uncached(double.anthropic_key, adapter._models, adapter._accounting, base_url=double.anthropic_url)
    start, before = double.now + BETWEEN, len(double.bill)
    for at, recorded in sent:
        double.now = start + at
        request = recorded if recorded.purpose == "summary" else replace(recorded, tier="strong")
        if not cached:
            request = replace(request, messages=tuple(replace(message, cache=None) for message in request.messages))
        async with aclosing(adapter.stream(request, meter=lambda _: None)) as events:
            async for _ in events:
                pass
    await adapter.aclose()
    return _bill(double.bill[before:], sum(recorded.purpose == "answer" for _, recorded in sent))


def _author(asked: Asked) -> Author:
    """Somebody else in each thread: threads share nothing but the system prompt."""
    return Author(f"U{asked.thread}", f"Person {asked.thread}")


def _print(result: Result) -> None:
    bots = result.bots
    answers = bots["parley"].answers
    print(f"{result.threads} threads, {answers} answers; requests by model: {dict(result.models)}\n")
    naive = bots["naive"].usd
    rows: dict[str, object] = {}
    for name, bot in bots.items():
        share = 100 * (1 - bot.usd / naive)
        rows[name] = f"${bot.per_answer:.6f} an answer, {share:5.1f} % cheaper, {bot.prompt_tokens:>9,} prompt tokens"
    print(table(rows), "\n")
    steps = [bots[name].usd for name in ("naive", "trimmed", "trimmed and cached", "parley")]
    parts = [f"{100 * (a - b) / naive:.1f} %" for a, b in pairwise(steps)]
    other = result.cheaper("naive, passages of this turn only")
    print(
        table(
            {
                "cheaper than the naive bot": f"{100 * result.cheaper('naive'):.1f} %",
                "  of which trimming": parts[0],
                "  of which caching": parts[1],
                "  of which routing": parts[2],
                "cheaper than the one without earlier passages": f"{100 * other:.1f} %",
                "messages left out of prompts": result.left_out,
                **result.repeated.rows(),
            }
        ),
        "\n",
    )
    print("Dollars of Parley's answers by where the breakpoints are and what they cost, same models:")
    print(table({name: f"${usd / answers:.7f} an answer" for name, usd in result.by_layout.items()}))


def main() -> None:
    """Run it and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--threads", type=int, default=200)
    given = options.parse_args()
    if not (given.data / "queries.jsonl").is_file():
        options.error(f"{given.data} holds no queries.jsonl")
    logging.getLogger("bot").setLevel(logging.ERROR)
    turns = read(given.data, threads=given.threads)
    with fresh_postgres() as url:
        _print(asyncio.run(measure(url, turns)))


if __name__ == "__main__":
    main()
