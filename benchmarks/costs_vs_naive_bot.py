"""Replays threads and compares the dollars per answer of Parley with a naive bot, on one provider double in one run.

    python -m benchmarks.costs_vs_naive_bot --data FOLDER [--threads 200]

FOLDER contains ``corpus.jsonl``, ``queries.jsonl`` (with ``user_turns``) and ``qrels.tsv``. Parley answers with its
engine, the real SDK and Postgres. The naive bot sends the whole history and the passages of every turn to the strong
model, without caching. A second naive bot leaves out the passages of earlier turns. All get the same passages and write
the same answers, so that only the prompt, the model and caching differ. Answer quality is not measured.
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
from benchmarks.shared.double_adapters import anthropic
from benchmarks.shared.harness import FixedSearch, fresh_postgres, table
from benchmarks.shared.thread_dataset import Asked, read
from bot.commands.ask import NullSurface
from bot.config import Settings
from bot.engine.answer import prompt
from bot.engine.engine import Engine
from bot.engine.memory import Selected
from bot.engine.ports.llm import LLM, Event, Message, Meter, Prompt
from bot.llm.providers.anthropic import AnthropicLLM
from bot.llm.providers.provider_call import Timeouts
from bot.llm.resilient import ResilientLLM
from bot.llm.tokens import TokenCounter
from bot.store.database.session import Database
from bot.store.stores import open_stores
from bot.types.audience import MEMBERS
from bot.types.conversation import Author, Incoming, ThreadKey
from bot.types.usage import Tier
from tests.doubles.models import Billed, ModelDouble, Reply, Seen

TENANT = "benchmark"
MORNING = datetime(2026, 11, 23, 9, tzinfo=UTC)
GAP_SECONDS = 30 * 86_400.0
"""Seconds of the double's clock between two bots, so that no bot reads what another one cached."""
SUMMARY = "They asked about several things and were told what the documents say, with numbers and names. " * 5

_SET_TIME = text("UPDATE messages SET created_at = :at WHERE turn_id = :turn")
_PASSAGE = re.compile(r"^\[(\d+)\] [^\n]*\n(.+?)(?=\n\n\[\d+\] |\n</passages\b|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Bot:
    """The bill of one bot."""

    usd: Decimal
    answers: int
    prompt_tokens: int
    read_tokens: int

    @property
    def per_answer(self) -> Decimal:
        return self.usd / max(self.answers, 1)


@dataclass(frozen=True, slots=True)
class Result:
    """The bills, from the naive bot to Parley, and how much of Parley's repeated prefixes came from the cache."""

    threads: int
    bots: dict[str, Bot]
    repeated: prompt_layouts.Repeated
    by_layout: dict[str, Decimal]
    models: Counter[str]
    left_out: int

    def cheaper(self, than: str) -> float:
        """Return the share of the other bot's cost that Parley saves."""
        return float(1 - self.bots["parley"].usd / self.bots[than].usd)


@dataclass
class Recorder:
    """An LLM that records every prompt with the time it was sent."""

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
    """An adapter without cache breakpoints."""

    def _system(self, prompt: Prompt, model: str):  # type: ignore[no-untyped-def]
        return [{"type": "text", "text": prompt.system}]


def answer(last_message: str) -> str:
    """Return the same answer for every bot: the first two sentences of up to three passages, cited."""
    sentences_cited = []
    for match in list(_PASSAGE.finditer(last_message))[:3]:
        sentences = re.split(r"(?<=[.!?])\s+", match[2].split("\n", 1)[-1].strip())
        sentences_cited.append(f"{' '.join(sentences[:2])} [{match[1]}]")
    return "\n\n".join(sentences_cited) or "The documents say nothing about it."


def script(seen: Seen) -> Reply:
    """Return a summary for a summary request, and the answer for a question."""
    about_memory = "You keep the memory of this conversation" in seen.messages[-1][1]
    return Reply(SUMMARY if about_memory else answer(seen.messages[-1][1]), piece=400)


async def measure(url: str, turns: Sequence[Asked]) -> Result:
    """Replay the turns on a migrated database."""
    async with ModelDouble() as double:
        double.script = script
        recorded, left_out = await _parley(url, turns, double)
        seen, bill = list(double.requests), list(double.bill)
        bots = {
            "naive": await _naive(turns, double, all_passages=True),
            "naive, passages of this turn only": await _naive(turns, double, all_passages=False),
            "trimmed": await _send_to_strong_model(recorded, double, cached=False),
            "trimmed and cached": await _send_to_strong_model(recorded, double, cached=True),
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
    database, counter, search = Database(url), TokenCounter(), FixedSearch()
    adapter = anthropic(double.anthropic_url, counter=counter)
    llm = Recorder(ResilientLLM({"cheap": [adapter], "strong": [adapter]}, Timeouts()))
    settings = Settings(_env_file=None, daily_tokens=0, answer_cache_hours=0)
    stores = open_stores(database, settings, count_tokens=counter.count, clock=lambda: MORNING)
    engine = Engine(stores=stores, search=search, llm=llm, settings=settings, count_tokens=counter.count)
    left_out = 0
    for asked in turns:
        at = MORNING + timedelta(seconds=asked.at)
        double.now = llm.now = asked.at
        search.passages = asked.passages
        key = ThreadKey(TENANT, "web", "general", f"T{asked.thread}")
        incoming = Incoming(key, uuid.uuid4().hex, _author(asked), asked.question, "mention", at, audience=MEMBERS)
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


async def _naive(turns: Sequence[Asked], double: ModelDouble, *, all_passages: bool) -> Bot:
    """Send every question with all earlier messages, and with ``all_passages`` also the passages of earlier turns."""
    past: dict[int, list[Message]] = {}
    sent = []
    for asked in turns:
        built = prompt.build(
            question=asked.question, searched=asked.question, author=_author(asked).name,
            past=Selected("", ()), passages=asked.passages, tier="strong", max_tokens=1000, persona=None,
            cache_key="", life=None,
        )  # fmt: skip
        history, last = past.setdefault(asked.thread, []), built.messages[-1]
        sent.append((asked.at, replace(built, messages=(*history, last))))
        message = last if all_passages else Message("user", f"{_author(asked).name}: {asked.question}")
        history += [message, Message("assistant", answer(last.text))]
    return await _send_to_strong_model(sent, double, cached=False)


async def _send_to_strong_model(sent: Sequence[tuple[float, Prompt]], double: ModelDouble, *, cached: bool) -> Bot:
    """Send the same prompts to the strong model; summaries stay with the cheap one."""
    adapter = anthropic(double.anthropic_url, AnthropicLLM if cached else Uncached)
    start, before = double.now + GAP_SECONDS, len(double.bill)
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
    """Return a different author for each thread, so that threads share only the system prompt."""
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
                "cheaper than the naive bot without earlier passages": f"{100 * other:.1f} %",
                "messages left out of prompts": result.left_out,
                **result.repeated.rows(),
            }
        ),
        "\n",
    )
    print("Dollars per answer of Parley with other breakpoints and lifetimes, same models:")
    print(table({name: f"${usd / answers:.7f} an answer" for name, usd in result.by_layout.items()}))


def main() -> None:
    """Run the benchmark and print the results."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--threads", type=int, default=200)
    given = options.parse_args()
    if not (given.data / "queries.jsonl").is_file():
        options.error(f"{given.data} has no queries.jsonl")
    logging.getLogger("bot").setLevel(logging.ERROR)
    turns = read(given.data, threads=given.threads)
    with fresh_postgres() as url:
        _print(asyncio.run(measure(url, turns)))


if __name__ == "__main__":
    main()
