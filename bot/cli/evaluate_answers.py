"""The ``parley eval answers`` command: asks the questions of a file of cases and checks the answers."""

from __future__ import annotations

import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import run, settings
from bot.cli.judging import USER, Judging
from bot.cli.options import json_option
from bot.cli.output import echo, print_data
from bot.cli.parameter_types import FilePath, Identifier, Share
from bot.errors import ParleyError, UsageError
from bot.types.conversation import LOCAL_TENANT
from bot.types.usage import UNLIMITED

if TYPE_CHECKING:
    from bot.app import App
    from bot.config import Settings
    from bot.types.turns import Outcome


@click.command()
@click.option(
    "--cases",
    "path",
    type=FilePath(exists=True, dir_okay=False),
    help="JSONL file of cases for your own documents.  [default: 60 cases for the sample handbook]",
)
@click.option(
    "--documents",
    type=FilePath(exists=True),
    help="File or folder to answer from in place of the stored documents, in a schema of its own.",
)
@click.option("--fail-under", type=Share(), help="Fail if a smaller share of the cases passes.")
@click.option(
    "--baseline",
    type=FilePath(exists=True, dir_okay=False),
    help="Output of an earlier run with --json. Shows what changed; fails if fewer cases pass.",
)
@click.option(
    "--compare",
    type=FilePath(exists=True, dir_okay=False),
    help="Output of a later run with --json: compares it with --baseline, and asks nothing.",
)
@click.option(
    "--judge",
    "judge_name",
    type=Identifier(),
    metavar="MODEL",
    help="Have the answers judged by this model, which must be of another family than the one that answers.",
)
@json_option
def answers(
    path: Path | None,
    documents: Path | None,
    fail_under: float | None,
    baseline: Path | None,
    compare: Path | None,
    judge_name: str | None,
    as_json: bool,
) -> None:
    """Ask the questions of a file of cases, and check what the answers say and cite.

    Without --cases, the sample handbook is ingested into a schema of its own, which is dropped afterwards. Budgets do
    not apply. The costs are charged to the user "eval".
    """
    from bot.evals import answers as evals
    from bot.evals.answer_cases import read
    from knowledge import sample

    if compare is not None:
        _compare(baseline, compare, as_json=as_json)
        return
    if path is None and documents is None:
        documents = sample.path()
    cases = read(path or sample.answer_cases())
    before = evals.read_baseline(baseline) if baseline else None
    # Dozens of questions in a row are more than a person's day.
    limits = ("daily_tokens", "channel_daily_tokens", "tenant_daily_tokens")
    loaded = settings().model_copy(update=dict.fromkeys(limits, UNLIMITED))

    judging = Judging.prepare(loaded, judge_name, cases) if judge_name else None

    async def measure() -> dict[str, Any]:
        async with _opened(loaded, documents) as app:
            if judging is None:
                return await evals.evaluate(cases, _Asking(app))
            async with judging.opened(app) as judge:
                return await evals.evaluate(cases, _Asking(app), judge)

    document = run(measure())
    print_data(document, *evals.table(document), as_json=as_json)
    if not as_json:
        for failed in document["failed"]:
            echo(user_messages.failed_case(failed["id"], failed["question"], failed["why"]))
        if document["judged"]:
            echo(user_messages.judged(document["judged"], document["not_judged"]))
    worse = before is not None and document["pass_rate"] < float(before["pass_rate"])
    if before is not None:
        fixed, broken = evals.changes(document, before)
        echo(user_messages.changed_cases(fixed, broken), err=True)
    if worse or (fail_under is not None and document["pass_rate"] < fail_under):
        sys.exit(1)


def _compare(baseline: Path | None, later: Path, *, as_json: bool) -> None:
    """Print what changed between the outputs of two runs. End with 1 if fewer cases pass than before."""
    from bot.evals import answers as evals

    if baseline is None:
        raise UsageError(user_messages.COMPARE_WITHOUT_BASELINE)
    before, now = evals.read_baseline(baseline), evals.read_baseline(later)
    fixed, broken = evals.changes(now, before)
    rates = {"before": float(before["pass_rate"]), "after": float(now["pass_rate"])}
    why = {str(one["id"]): str(one.get("why", "")) for one in now["failed"]}
    rows = [*((name, "fixed", "") for name in fixed), *((name, "broken", why[name]) for name in broken)]
    document = {"fixed": fixed, "broken": broken, "pass_rate": rates}
    print_data(document, ("case", "change", "why"), rows, as_json=as_json)
    if rates["after"] < rates["before"]:
        sys.exit(1)


@asynccontextmanager
async def _opened(loaded: Settings, documents: Path | None) -> AsyncIterator[App]:
    """Open the app over the stored documents, or over others in a schema that is dropped afterwards."""
    from bot.app import open_app
    from bot.store.database_startup import opened_database

    if documents is None:
        async with open_app(loaded, warm=True) as app:
            yield app
        return
    from pydantic import SecretStr

    from bot.evals.scratch_schema import scratch_schema

    async with opened_database(loaded) as real, scratch_schema(real.session_url) as scratch:
        own = {"database_url": SecretStr(scratch.session_url), "listen_database_url": None}
        async with open_app(loaded.model_copy(update=own), warm=True) as app:
            source = app.services.open_source(str(documents), files=True)
            report = await app.ingestor.ingest([source], tenant_id=LOCAL_TENANT)
            if not report.documents:
                raise ParleyError(user_messages.nothing_to_ask(str(documents)))
            yield app


class _Asking:
    """Asks questions in a thread of their own each time. The answer cache is not used."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, questions: Sequence[str]) -> Outcome:
        from bot.commands.ask import NullSurface
        from bot.platforms import console

        thread = uuid.uuid4().hex[:12]
        outcome: Outcome | None = None
        for question in questions:
            message = console.incoming(question, thread=thread, user=USER, fresh=True)
            turn = await self._app.dispatcher.accept(message)
            assert turn is not None, "a message has an ID of its own"
            outcome = await self._app.dispatcher.start(turn, NullSurface())
        assert outcome is not None, "a case has a question"
        return outcome
