"""The ``parley search`` command: search the documents and print the passages with the scores of each stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import click

from bot.cli import user_messages
from bot.cli.command_runtime import require_tenant, with_app
from bot.cli.options import data_options
from bot.cli.output import echo, print_json
from bot.cli.parameter_types import Identifier, Language
from bot.errors import UsageError
from knowledge.parsing.format_detection import Format
from knowledge.types.scope import EVERYTHING, TENANT_AUDIENCE, Filter, Scope
from knowledge.types.search_results import Found, Passage
from knowledge.types.source_items import SOURCE_KINDS

if TYPE_CHECKING:
    from bot.app import App


def filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a search filter. A document passes an option given several times if any value matches."""
    options = (
        click.option(
            "--source",
            "sources",
            type=Identifier(),
            multiple=True,
            metavar="PREFIX",
            help="Only sources that begin with PREFIX.",
        ),
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            type=click.Choice(SOURCE_KINDS, case_sensitive=False),
            help="Only this kind of source.",
        ),
        click.option(
            "--format",
            "formats",
            multiple=True,
            type=click.Choice(get_args(Format), case_sensitive=False),
            help="Only this format.",
        ),
        click.option(
            "--language",
            "languages",
            multiple=True,
            type=Language(),
            metavar="CODE",
            help="Only documents in this language, as their metadata says: de, en-us.",
        ),
        click.option(
            "--author",
            "authors",
            multiple=True,
            type=Identifier(),
            metavar="NAME",
            help="Only documents whose author is exactly NAME.",
        ),
        click.option(
            "--since",
            type=click.DateTime(),
            metavar="DATE",
            help="Only documents dated on this day or later: 2026-11-30.",
        ),
        click.option("--until", type=click.DateTime(), metavar="DATE", help="Only documents dated before this day."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _filter(since: datetime | None, until: datetime | None, **lists: tuple[str, ...]) -> Filter:
    if since and until and until <= since:
        raise UsageError(user_messages.PERIOD_IS_EMPTY)
    return Filter(
        **{name: values or None for name, values in lists.items()},
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
    )


@click.command()
@click.argument("query")
@click.option(
    "-k", default=5, show_default=True, type=click.IntRange(1, 100), metavar="NUMBER", help="How many passages to show."
)
@click.option(
    "--audience",
    type=Identifier(),
    default=TENANT_AUDIENCE,
    show_default=True,
    metavar="tenant|CHANNEL",
    help="Search as everyone ('tenant') or as a member of the channel with this ID.",
)
@filter_options
@data_options
def search(query: str, k: int, audience: str, tenant: str, as_json: bool, **conditions: Any) -> None:
    """Search the documents and show the best passages.

    --json adds the score of each stage. Filter options given several times match any of their values.
    """
    channel = None if audience == TENANT_AUDIENCE else audience
    narrowing = _filter(**conditions)
    scope = Scope.of_channel(tenant, channel, tenant_wide=True).narrowed(narrowing)
    if not query.strip():
        raise UsageError(user_messages.NO_QUERY)

    async def find(app: App) -> Found:
        await require_tenant(app.database, tenant)
        return await app.services.search(query, scope, k=k)

    found = with_app(find, warm=True)
    if not found.passages:
        echo(user_messages.NOTHING_FOUND if narrowing == EVERYTHING else user_messages.NO_MATCH, err=as_json)
    if as_json:
        passages = [passage_document(rank, passage) for rank, passage in enumerate(found.passages, 1)]
        print_json({"passages": passages, "timings_ms": dict(found.timings_ms)})
        return
    for rank, passage in enumerate(found.passages, 1):
        place = " › ".join((passage.title, *passage.heading))
        echo(f"{rank}. {place}  ({passage.score:.3f})\n   {passage.source}\n   {' '.join(passage.text.split())}\n")


def passage_document(rank: int, passage: Passage) -> dict[str, Any]:
    """Return a passage as the JSON document of the command line."""
    return {
        "rank": rank,
        "score": passage.score,
        "text": passage.text,
        "source": passage.source,
        "title": passage.title,
        "heading": list(passage.heading),
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "legs": asdict(passage.legs),
    }


COMMANDS = (search,)
