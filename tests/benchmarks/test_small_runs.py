"""Runs small versions of the benchmarks and checks their results, not their times."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import (
    costs_vs_naive_bot,
    make_smalltalk_memory_data,
    provider_outage,
    reservations,
    streaming_overhead,
)
from benchmarks.shared import thread_dataset


async def test_reservations_of_two_processes_never_pass_the_limit(database_url: str) -> None:
    seen = await reservations.measure(database_url, requests=600, processes=2)
    assert sum(seen.ended.values()) == 600
    assert min(seen.ended["refused"], seen.ended["settled"], seen.ended["left by a dead process"]) > 0
    assert seen.over == 0
    assert seen.days == dict.fromkeys(seen.days, (seen.settled_tokens, 0))


async def test_an_outage_costs_few_calls_and_recovers_by_itself() -> None:
    seen = await provider_outage.measure(
        provider_outage.FAULTS["overloaded (529)"], down=["anthropic"], configured=["anthropic"], seconds=60
    )
    assert seen.answered == 0
    assert seen.calls_per_request <= 1.2
    assert seen.recovery_seconds < 240
    second = await provider_outage.measure(
        provider_outage.FAULTS["failing (500)"], down=["anthropic"], configured=["anthropic", "openai"], seconds=60
    )
    assert second.answered == second.requests
    assert second.calls_per_request <= 1.2


async def test_a_stopped_stream_stops_within_one_piece() -> None:
    assert max(await streaming_overhead.sent_after_stop((1, 10), pause=0.05)) <= 1


def data_set(folder: Path) -> Path:
    """Write a data set: four threads of up to six turns, and a corpus of short texts."""
    corpus = [
        {"_id": f"d{n}", "title": f"Rule {n}", "text": f"Rule {n}\nRule {n} allows {n} days. It holds since {n}. " * 4}
        for n in range(40)
    ]
    questions = [f"How many days does rule {n} allow?" for n in range(6)]
    queries = [{"_id": f"c{n}<::>{3 + n}", "user_turns": questions[: 3 + n]} for n in range(4)]
    for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nc0<::>1\td7\t1\nc0<::>1\tgone\t1\n")
    return folder


async def test_a_replayed_thread_costs_less_than_the_naive_bots(database_url: str, tmp_path: Path) -> None:
    turns = thread_dataset.read(data_set(tmp_path), threads=4)
    assert len(turns) == 3 + 4 + 5 + 6
    assert next(asked.passages[0].title for asked in turns if asked.thread == 0) == "Rule 7"
    seen = await costs_vs_naive_bot.measure(database_url, turns)
    bots = seen.bots
    assert {bot.answers for bot in bots.values()} == {18}
    assert bots["naive"].usd > bots["naive, passages of this turn only"].usd > bots["trimmed and cached"].usd
    assert bots["naive"].read_tokens == bots["trimmed"].read_tokens == 0
    assert seen.repeated.read == bots["parley"].read_tokens > 0
    assert seen.repeated.read + seen.repeated.other_model + seen.repeated.expired == seen.repeated.tokens
    assert seen.by_layout["as shipped"] == bots["parley"].usd
    assert seen.by_layout["as shipped"] < seen.by_layout["no breakpoint"]


def test_small_talk_questions_have_their_evidence_in_the_conversation(tmp_path: Path) -> None:
    corpus = [
        {"_id": f"c{n}", "text": f"Time: 202601{1 + n % 28:02}_10:00\n" + "\n".join(["Ann: Hello.", "Ben: Hi."] * 3)}
        for n in range(make_smalltalk_memory_data.SESSIONS * max(make_smalltalk_memory_data.EXCHANGES_PER_SESSION))
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    exchanges_to_insert = make_smalltalk_memory_data.fillers(tmp_path)
    for number, exchanges in enumerate(make_smalltalk_memory_data.EXCHANGES_PER_SESSION):
        made = make_smalltalk_memory_data.conversation(number, exchanges_to_insert)
        said = {turn["id"]: turn for turn in made["turns"]}
        own = sum(map(len, make_smalltalk_memory_data.read_script()[0]))
        assert len(said) == len(made["turns"]) == own + 6 * exchanges * make_smalltalk_memory_data.SESSIONS
        assert all(set(question["evidence"]) <= set(said) for question in made["questions"])
        assert {turn["text"] for turn in said.values()} > {
            line.text for group in make_smalltalk_memory_data.read_script()[0] for line in group
        }
    assert make_smalltalk_memory_data.conversation(0, exchanges_to_insert) == make_smalltalk_memory_data.conversation(
        0, exchanges_to_insert
    )
