"""``eval``: measurements on data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from bot.cli.command_runtime import json_option, print_json, run, settings


@click.group(name="eval")
def evaluate() -> None:
    """Measure quality on a data set."""


@evaluate.command()
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="BEIR form.")
@json_option
def retrieval(data: Path, as_json: bool) -> None:
    """Measure retrieval: each stage alone, latency and ingestion."""
    made = settings()

    async def measured() -> dict[str, object]:
        from bot.app import open_app
        from bot.evals.retrieval import evaluate as measure

        async with open_app(made) as app:
            return await measure(data, app)

    document = run(measured())
    if as_json:
        print_json(document)
        return
    from bot.cli.output import show_table
    from bot.evals.retrieval import table

    show_table(*table(document))


@evaluate.command()
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="JSONL with prompt, strong_correct and weak_correct.",
)
@json_option
def routing(data: Path, as_json: bool) -> None:
    """Measure the local router: what is won at each share of strong calls."""
    from bot.engine.routing.weights import shipped
    from bot.evals import routing as evals
    from knowledge.embedders import build_embedder

    made, outcomes, weights = settings(), evals.read(data), shipped()
    evals.gap(outcomes)
    if made.embedding_model != weights.embedding_model:
        click.echo(f"Measured without meaning: the router knows {weights.embedding_model} alone.", err=True)
        document = evals.evaluate(outcomes, weights)
    else:
        click.echo(f"Encoding {len(outcomes)} prompts; thousands take minutes.", err=True)
        vectors = run(evals.encoded([outcome.prompt for outcome in outcomes], build_embedder(made.embedding_model)))
        document = evals.evaluate(outcomes, weights, vectors)
    if as_json:
        print_json(document)
        return
    from bot.cli.output import show_table

    show_table(*evals.table(document))
    click.echo(evals.summary(document))


@evaluate.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="BEIR form; queries with last_turn, user_turns and standalone.",
)
@click.option("--model", "with_model", is_flag=True, help="Let the cheap model rewrite the questions.")
@json_option
def followups(data: Path, with_model: bool, as_json: bool) -> None:
    """Measure how questions of a thread are searched for: alone, with the thread, and as a person rewrote them."""
    made = settings()

    async def measured() -> dict[str, object]:
        from bot.app import open_app
        from bot.evals.followups import by_model, read
        from bot.evals.followups import evaluate as measure

        read(data)
        async with open_app(made) as app:
            rewrites = by_model(app.services.llm) if with_model else None
            return await measure(data, app, rewrites=rewrites)

    document = run(measured())
    if as_json:
        print_json(document)
        return
    from bot.cli.output import show_table
    from bot.evals.followups import table

    show_table(*table(document))


_JSONL = click.Path(exists=True, dir_okay=False, path_type=Path)


@evaluate.command()
@click.option("--data", type=_JSONL, required=True, help="JSONL with a, b and same.")
@json_option
def cache(data: Path, as_json: bool) -> None:
    """Measure the answer cache: how many of its hits would give the answer to another question."""
    from bot.evals import cache as evals
    from knowledge.embedders import build_embedder

    pairs = evals.read(data)
    document = run(evals.evaluate(pairs, build_embedder(settings().embedding_model)))
    _show(document, evals.table(document), as_json)


@evaluate.command()
@click.option("--data", type=_JSONL, required=True, help="JSONL with question, passages and answerable.")
@json_option
def abstention(data: Path, as_json: bool) -> None:
    """Measure when weak evidence is owned up to: what is declined of what could be answered and what could not."""
    from bot.evals import abstention as evals
    from knowledge.embedders import build_embedder
    from knowledge.evidence_confidence import shipped

    made, cases, weights = settings(), evals.read(data), shipped()
    if made.embedding_model == weights.embedding_model:
        evidence = run(evals.encoded(cases, build_embedder(made.embedding_model)))
    else:
        click.echo(f"Measured by words alone: the score knows {weights.embedding_model} alone.", err=True)
        evidence = evals.from_words(cases)
    document = evals.evaluate(cases, evidence, weights)
    _show(document, evals.table(document), as_json)


def _show(
    document: Mapping[str, object], table: tuple[Sequence[str], Sequence[Sequence[str | float]]], as_json: bool
) -> None:
    if as_json:
        print_json(document)
        return
    from bot.cli.output import show_table

    show_table(*table)


@evaluate.command()
@click.option(
    "--data",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="JSON: conversations with turns and questions with their evidence.",
)
@click.option("--budget", type=click.IntRange(min=200), default=4000, show_default=True, help="Tokens.")
@json_option
def memory(data: Path, budget: int, as_json: bool) -> None:
    """Measure how much of what a question about an old conversation needs is put before the model."""
    made = settings()

    async def measured() -> dict[str, object]:
        from contextlib import aclosing

        from bot.evals.memory import evaluate as measure
        from bot.evals.memory import read
        from bot.llm.tokens import TokenCounter
        from knowledge.embedders import build_embedder

        conversations = read(data)
        key = made.openai_api_key
        embedder = build_embedder(
            made.embedding_model,
            openai_api_key=key.get_secret_value() if key else None,
            openai_base_url=made.openai_base_url,
        )
        async with aclosing(embedder):
            return await measure(conversations, embedder, budget=budget, count=TokenCounter().count)

    document = run(measured())
    if as_json:
        print_json(document)
        return
    from bot.cli.output import show_table
    from bot.evals.memory import table

    show_table(*table(document))


COMMANDS = (evaluate,)
