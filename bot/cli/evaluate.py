"""The ``parley eval`` commands: measure answers, retrieval, follow-ups, routing, cache, abstention and memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings, with_app
from bot.cli.evaluate_answers import answers
from bot.cli.options import json_option
from bot.cli.output import echo, print_data
from bot.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from bot.app import App

_FOLDER = FilePath(exists=True, file_okay=False)
_FILE = FilePath(exists=True, dir_okay=False)


@click.group(name="eval")
def evaluate() -> None:
    """Measure quality on a data set."""


@evaluate.command()
@click.option("--data", type=_FOLDER, required=True, help="Folder with a data set in BEIR format.")
@json_option
def retrieval(data: Path, as_json: bool) -> None:
    """Measure retrieval quality after each stage, latency and ingestion time.

    The data set is ingested into a schema of its own, which is dropped afterwards.
    """
    from bot.evals import retrieval as evals

    document = with_app(lambda app: evals.evaluate(data, app))
    print_data(document, *evals.table(document), as_json=as_json)


@evaluate.command()
@click.option("--data", type=_FILE, required=True, help="JSONL file with prompt, strong_correct and weak_correct.")
@json_option
def routing(data: Path, as_json: bool) -> None:
    """Measure the answer quality that the local router reaches at each share of calls to the strong model."""
    from bot.engine.routing.weights import shipped
    from bot.evals import routing as evals
    from knowledge.embedders import build_embedder

    loaded, outcomes, weights = settings(), evals.read(data), shipped()
    evals.gap(outcomes)
    if loaded.embedding_model != weights.embedding_model:
        echo(user_messages.router_without_embeddings(weights.embedding_model), err=True)
        document = evals.evaluate(outcomes, weights)
    else:
        echo(user_messages.encoding(len(outcomes)), err=True)
        vectors = run(evals.encoded([outcome.prompt for outcome in outcomes], build_embedder(loaded.embedding_model)))
        document = evals.evaluate(outcomes, weights, vectors)
    print_data(document, *evals.table(document), as_json=as_json)
    if not as_json:
        echo(evals.summary(document))


@evaluate.command()
@click.option(
    "--data",
    type=_FOLDER,
    required=True,
    help="Folder in BEIR format whose queries have last_turn, user_turns and standalone.",
)
@click.option(
    "--model",
    "with_model",
    is_flag=True,
    help="Rewrite the questions with the cheap model.  [default: the local method]",
)
@json_option
def followups(data: Path, with_model: bool, as_json: bool) -> None:
    """Measure search for follow-up questions.

    Each question is searched for in three ways: as asked, rewritten, and as rewritten by a person.
    """
    from bot.evals import followups as evals

    async def measure(app: App) -> dict[str, object]:
        rewrites = evals.by_model(app.services.llm) if with_model else None
        return await evals.evaluate(data, app, rewrites=rewrites)

    evals.read(data)
    document = with_app(measure)
    print_data(document, *evals.table(document), as_json=as_json)


@evaluate.command()
@click.option("--data", type=_FILE, required=True, help="JSONL file with a, b and same.")
@json_option
def cache(data: Path, as_json: bool) -> None:
    """Measure how often the answer cache hits, and how many hits answer another question."""
    from bot.app import build_models
    from bot.evals import cache as evals

    pairs = evals.read(data)
    document = run(evals.evaluate(pairs, build_models(settings()).current))
    print_data(document, *evals.table(document), as_json=as_json)


@evaluate.command()
@click.option("--data", type=_FILE, required=True, help="JSONL file with question, passages and answerable.")
@json_option
def abstention(data: Path, as_json: bool) -> None:
    """Measure which questions are declined for low confidence.

    Prints the share of answerable and of unanswerable questions that are declined.
    """
    from bot.evals import abstention as evals
    from knowledge.embedders import build_embedder
    from knowledge.search.evidence_confidence import shipped

    loaded, cases = settings(), evals.read(data)
    weights = shipped(loaded.embedding_model)
    if loaded.embedding_model == weights.embedding_model:
        evidence = run(evals.encoded(cases, build_embedder(loaded.embedding_model)))
    else:
        echo(user_messages.confidence_without_embeddings(weights.embedding_model), err=True)
        evidence = evals.from_words(cases)
    document = evals.evaluate(cases, evidence, weights)
    print_data(document, *evals.table(document), as_json=as_json)


@evaluate.command()
@click.option(
    "--data", type=_FILE, required=True, help="JSON file: conversations with turns, and questions with their evidence."
)
@click.option(
    "--budget",
    type=click.IntRange(200, 1_000_000),
    default=4000,
    show_default=True,
    metavar="TOKENS",
    help="Size of the history in the prompt, in tokens.",
)
@json_option
def memory(data: Path, budget: int, as_json: bool) -> None:
    """Measure how much evidence for questions about long conversations reaches the prompt."""
    from bot.evals import memory as evals

    loaded = settings()

    async def measure() -> dict[str, object]:
        from contextlib import aclosing

        from bot.app import build_models
        from bot.llm.tokens import TokenCounter

        conversations = evals.read(data)
        async with aclosing(build_models(loaded).current) as embedder:
            return await evals.evaluate(conversations, embedder, budget=budget, count=TokenCounter().count)

    document = run(measure())
    print_data(document, *evals.table(document), as_json=as_json)


evaluate.add_command(answers)
COMMANDS = (evaluate,)
