"""Measures the tokens sent with the last question of a long thread, compared with sending all messages and passages.

    python -m benchmarks.long_thread_tokens --turns 30

Runs one thread over the sample handbook through the whole product without a model. It asks a question for each heading;
every third one is a follow-up to the previous one. The answers come from the extractive answerer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.shared.harness import ASKER, ask, fresh_postgres, run, sample_app, table
from bot.app import App
from bot.llm.tokens import TokenCounter
from bot.types.conversation import LOCAL_TENANT, ThreadKey
from bot.types.turns import Outcome
from knowledge import sample

FOLLOW_UPS = ("And who decides on that?", "How long does it take?", "What was it before?")


@dataclass(frozen=True, slots=True)
class Sent:
    """Tokens of one turn: the prompt that Parley sent, and its question, passages and answer."""

    prompt: int
    system: int
    question: int
    passages: int
    answer: int


def headings() -> list[str]:
    """Return the headings of the sample handbook."""
    return [
        line.lstrip("# ").strip()
        for page in sorted(sample.path().rglob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("## ")
    ]


def questions(turns: int) -> list[str]:
    """Return a question for each heading of the handbook; every third one is a follow-up."""
    subjects = headings()
    return [
        FOLLOW_UPS[n // 3 % len(FOLLOW_UPS)]
        if n % 3 == 2
        else f"What does the handbook say about {subjects[n % len(subjects)]}?"
        for n in range(turns)
    ]


async def _thread(app: App, turns: int) -> list[Sent]:
    key = ThreadKey(LOCAL_TENANT, "web", "general", "long")
    count = TokenCounter().count
    sent = []
    for text in questions(turns):
        outcome = await ask(app.dispatcher, key, ASKER, text)
        await app.dispatcher.settled()
        sent.append(_sent(outcome, text, count))
    return sent


def _sent(outcome: Outcome, question: str, count: Callable[[str], int]) -> Sent:
    trace = outcome.trace
    parts = trace["prompt_parts"]
    return Sent(
        prompt=sum(parts[name] for name in ("system", "history", "recalled", "passages and question")),
        system=parts["system"],
        question=count(question),
        passages=sum(count(f"[{one['n']}] {one['place']}\n{one['text']}") for one in trace["passages"]),
        answer=count(outcome.answer),
    )


def figures(sent: Sequence[Sent]) -> dict[str, object]:
    """Compare the last turn with sending everything."""
    last, before = sent[-1], sent[:-1]
    messages = last.system + last.question + last.passages + sum(one.question + one.answer for one in before)
    everything = messages + sum(one.passages for one in before)
    return {
        "turns": len(sent),
        "tokens sent with the last question": last.prompt,
        "every message, passages of this turn": messages,
        "every message and the passages of every turn": everything,
        "share of everything": last.prompt / everything,
    }


async def _measure(url: str, turns: int) -> dict[str, object]:
    async with sample_app(url) as app:
        return figures(await _thread(app, turns))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=30)
    given = parser.parse_args()
    with fresh_postgres() as url:
        print(table(run(_measure(url, given.turns))))


if __name__ == "__main__":
    main()
