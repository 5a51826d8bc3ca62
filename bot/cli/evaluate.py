"""``eval``: measurements on data sets."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.running import json_option, print_json, run, settings


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
    from bot.cli.tables import show_table
    from bot.evals.retrieval import table

    show_table(*table(document))


COMMANDS = (evaluate,)
