"""Writes pairs of questions: paraphrases, and traps that look alike but ask something else.

    python -m benchmarks.make_paraphrase_data PAIRS.jsonl [--pairs 4000] [--seed 7]
    parley eval cache --data PAIRS.jsonl --json

Each line has ``a``, ``b``, ``same`` and ``kind``. Paraphrases change the form of the question, courtesy, contractions,
articles, number and a few words. Traps swap names, numbers, directions, roles, tense, negation, modality, the question
word, before and after, or opposites, or add a restriction. Some paraphrases are too hard for rules on purpose, so that
recall is meaningful. Deterministic.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path

HOW = (
    "How do I {}?",
    "How can I {}?",
    "how to {}",
    "What is the best way to {}?",
    "What's the right way to {}?",
    "Can you tell me how to {}?",
    "What are the steps to {}?",
    "How would one go about it to {}?",
    "Could somebody show me how to {}, please?",
    "What do I need to do to {}?",
    "I would like to know how I {}",
    "Any advice on how people {} here?",
)
VERBS = (
    ("reset", "my password", "the VPN token"),
    ("book", "a meeting room", "a business trip"),
    ("request", "a new laptop", "access to the warehouse"),
    ("cancel", "a subscription", "an order"),
    ("install", "the client on Linux", "Docker on macOS"),
    ("submit", "travel expenses", "an invoice above 5000 EUR"),
    ("export", "the customer list to Excel", "data from Postgres to S3"),
    ("share", "a file with a partner", "a calendar with my team"),
    ("enable", "two-factor login", "dark mode"),
    ("report", "a security incident", "a lost badge"),
    ("rotate", "API keys in staging", "certificates in production"),
    ("archive", "old tickets", "a project"),
)
SAME = (
    ("What is the difference between {0} and {1}?", "What's the difference between {1} and {0}?"),
    ("How much does {0} cost?", "What is the price of {0}?"),
    ("What does {0} mean?", "What is the meaning of {0}?"),
    ("Where can I find {0}?", "where do we find the {0}"),
    ("When does {0} start?", "What time does {0} start?"),
    ("Who is the owner of {0}?", "Who's the {0} owner?"),
    ("Is it possible to use {0} with {1}?", "Can I use {0} with {1}?"),
    ("Do I have to pay for {0}?", "Is it necessary to pay for {0}?"),
    ("How long does it take to set up {0}?", "How much time does it take to set up {0}?"),
    ("Why is {0} slow?", "What is the reason that {0} is slow?"),
    ("What are the limits of {0}?", "Tell me, what is the {0} limit"),
    ("Who takes care of {0}?", "Which person is in charge of {0}?"),
    ("Is {0} down?", "Is there an outage of {0}?"),
)
TRAPS = (
    ("role", "Can {0} write to {1}?", "Can {1} write to {0}?"),
    ("direction", "How do I move data from {0} to {1}?", "How do I move data from {1} to {0}?"),
    ("direction", "How do I import contacts into {0}?", "How do I export contacts from {0}?"),
    ("order", "What must I do before I update {0}?", "What must I do after I update {0}?"),
    ("order", "Is {0} faster than {1}?", "Is {1} faster than {0}?"),
    ("negation", "Why does {0} support {1}?", "Why does {0} not support {1}?"),
    ("negation", "Can I run {0} with {1}?", "Can I run {0} without {1}?"),
    ("tense", "Who is the owner of {0}?", "Who was the owner of {0}?"),
    ("tense", "When did {0} move to Berlin?", "When will {0} move to Berlin?"),
    ("asked", "When did {0} fail?", "Why did {0} fail?"),
    ("asked", "How long is {0} kept?", "How often is {0} kept?"),
    ("modality", "Can I use {0} at home?", "Should I use {0} at home?"),
    ("modality", "May I share {0}?", "Must I share {0}?"),
    ("opposite", "How do I enable {0}?", "How do I disable {0}?"),
    ("opposite", "What is the minimum size of {0}?", "What is the maximum size of {0}?"),
    ("restriction", "Who may use {0}?", "Who may use {0} abroad?"),
    ("restriction", "What are the rules for {0}?", "What are the rules for {0} in Germany?"),
    ("number", "How do I upgrade {0} to version 3?", "How do I upgrade {0} to version 4?"),
    ("number", "What changed in {0} in 2023?", "What changed in {0} in 2024?"),
    ("unit", "How do I set the limit of {0} to 5 MB?", "How do I set the limit of {0} to 5 GB?"),
    ("word", "What does the {0} operator do?", "What does the {0} operation do?"),
    ("word", "Who is the author of {0}?", "Who is the authority of {0}?"),
    ("name", "How do I log in to {0}?", "How do I log in to {1}?"),
    ("name", "Who is the owner of {0}?", "Who is the owner of {1}?"),
    ("aspect", "What is the price of {0}?", "What is the purpose of {0}?"),
    ("quantity", "How many people use {0}?", "How much do people use {0}?"),
    ("passive", "Who did {0} replace?", "Who replaced {0}?"),
    ("on and off", "How do I turn {0} on?", "How do I turn {0} off?"),
)
THINGS = (
    "Jira; Confluence; GitHub Actions; the staging cluster; the parental leave policy; Grafana; the Berlin office; "
    "Okta; Salesforce; the data warehouse; Slack; the on-call rota; Terraform; the payment service; Figma; the wiki; "
    "Kafka; the bonus scheme; the release train; the audit log"
).split("; ")
LEAD = ("", "", "", "Hi, ", "Please: ", "Quick question: ", "hello, ")

Line = dict[str, str | bool]


def pairs(count: int, seed: int = 7) -> list[Line]:
    """Return ``count`` different pairs, half of which are paraphrases."""
    draw = random.Random(seed)
    return [*_distinct(_paraphrases(draw), count // 2), *_distinct(_traps(draw), count - count // 2)]


def _distinct(lines: Iterator[Line], count: int) -> list[Line]:
    unique: dict[tuple[object, object], Line] = {}
    for _ in range(50 * count):
        line = next(lines)
        unique.setdefault((line["a"], line["b"]), line)
        if len(unique) == count:
            break
    return list(unique.values())


def _paraphrases(draw: random.Random) -> Iterator[Line]:
    while True:
        if draw.random() < 0.5:
            verb, *objects = draw.choice(VERBS)
            asked = f"{verb} {draw.choice(objects)}"
            one, other = draw.sample(HOW, 2)
            yield _line("how", one.format(asked), _varied(other.format(asked), draw), same=True)
        else:
            one, other = draw.choice(SAME)
            things = draw.sample(THINGS, 2)
            yield _line("frame", one.format(*things), _varied(other.format(*things), draw), same=True)


def _traps(draw: random.Random) -> Iterator[Line]:
    while True:
        if draw.random() < 0.2:
            verb, *objects = draw.choice(VERBS)
            other_verb = draw.choice([one[0] for one in VERBS if one[0] != verb])
            one, other = draw.sample(HOW, 2)
            a, b = draw.choice(
                [
                    (f"{verb} {objects[0]}", f"{verb} {objects[1]}"),
                    (f"{verb} {objects[0]}", f"{other_verb} {objects[0]}"),
                ]
            )
            yield _line("task", one.format(a), _varied(other.format(b), draw), same=False)
        else:
            kind, one, other = draw.choice(TRAPS)
            things = draw.sample(THINGS, 2)
            yield _line(kind, one.format(*things), _varied(other.format(*things), draw), same=False)


def _varied(question: str, draw: random.Random) -> str:
    """Vary case, courtesy and punctuation as people do."""
    forms = (question, question, question.lower(), question.rstrip("?"), f"{question} Thanks!")
    return draw.choice(LEAD) + draw.choice(forms)


def _line(kind: str, a: str, b: str, *, same: bool) -> Line:
    return {"a": a, "b": b, "same": same, "kind": kind}


def main() -> int:
    parser = argparse.ArgumentParser(description="Write pairs of paraphrased and of similar-looking questions.")
    parser.add_argument("path", type=Path, nargs="?")
    parser.add_argument("--pairs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    written = pairs(options.pairs, options.seed)
    if options.path is None:
        print(f"Nothing written: give a file for the {len(written)} pairs.")
        return 0
    options.path.write_text("".join(json.dumps(line) + "\n" for line in written), encoding="utf-8")
    print(f"{len(written)} pairs, {sum(bool(line['same']) for line in written)} the same")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
