"""``ask``, ``chat`` and ``why``."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any

import click

from bot.cli.running import json_option, print_json, run, settings, tenant_option, with_app
from bot.errors import ParleyError, UsageError
from bot.types import Outcome

if TYPE_CHECKING:
    from bot.app import App

USER = "you"


@click.command()
@click.argument("question")
@click.option("--thread", help="Go on in this thread; any name begins one.")
@click.option("--user", default=USER, show_default=True, help="Who asks; budgets count by this id.")
@click.option("--strong", is_flag=True, help="Ask the strong model.")
@json_option
def ask(question: str, thread: str | None, user: str, strong: bool, as_json: bool) -> None:
    """Ask a question and print the answer with its sources."""
    outcome = with_app(
        lambda app: _answer(app, question, thread or _new_thread(), user, strong, quiet=as_json), warm=True
    )
    if as_json:
        print_json(as_document(outcome))
    if outcome.refused is not None:
        if as_json:
            sys.exit(1)
        raise ParleyError(outcome.refused)


@click.command()
@click.option("--thread", help="Go on in this thread; any name begins one.")
@click.option("--user", default=USER, show_default=True, help="Who asks; budgets count by this id.")
def chat(thread: str | None, user: str) -> None:
    """Talk in one thread; /help lists the commands, Ctrl-D ends."""
    with_app(lambda app: _chat(app, thread or _new_thread(), user), warm=True)


@click.command()
@click.argument("turn_id")
@tenant_option
@json_option
def why(turn_id: str, tenant: str, as_json: bool) -> None:
    """Show the trace of one answer."""
    made = settings()

    async def traced() -> Any:
        from bot.app import opened_database
        from bot.reports.trace import trace_of

        async with opened_database(made) as database, database.tenant(tenant) as session:
            return await trace_of(session, tenant_id=tenant, turn_id=turn_id)

    trace = run(traced())
    if trace is None:
        raise ParleyError(f"No answer has the id {turn_id}. 'parley ask --json' prints it as turn_id.")
    if as_json:
        print_json(trace.as_json())
        return
    from bot.cli.tables import show_reply
    from bot.commands.why import reply_of

    show_reply(reply_of(trace))


def as_document(outcome: Outcome) -> dict[str, Any]:
    """An answer as the contract has it."""
    usage, route = outcome.usage, outcome.route
    return {
        "turn_id": outcome.turn_id,
        "thread": outcome.thread.thread_id,
        "answer": outcome.answer,
        "citations": [
            {
                "n": c.n,
                "source": c.source,
                "title": c.title,
                "quote": c.quote,
                "heading": list(c.heading),
                "page": c.page,
                "start": c.start,
                "end": c.end,
            }
            for c in outcome.citations
        ],
        "route": {"tier": route.tier, "model": route.model, "reason": route.reason} if route else None,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
            "completion_tokens": usage.completion_tokens,
        },
        "cost_usd": outcome.cost_usd,
        "cached": outcome.cached,
        "refused": outcome.refused,
        "timings_ms": {name: outcome.timings_ms.get(name) for name in ("search", "ttft", "total")},
    }


def _new_thread() -> str:
    return uuid.uuid4().hex[:12]


async def _answer(app: App, question: str, thread: str, user: str, strong: bool, *, quiet: bool) -> Outcome:
    from bot.commands.ask import Unseen
    from bot.platforms import console

    turn = await app.desk.accept(
        console.incoming(question, thread=thread, user=user, wish="strong" if strong else None)
    )
    if turn is None:
        raise UsageError("That question was asked already.")
    return await app.desk.start(turn, Unseen() if quiet else console.Terminal())


async def _chat(app: App, thread: str, user: str) -> None:
    import asyncio

    click.echo(f"Thread {thread}. Ask, or write /help; Ctrl-D ends.", err=True)
    while True:
        try:
            line = await asyncio.to_thread(_read)
        except (EOFError, KeyboardInterrupt):
            return
        if not line.strip():
            continue
        try:
            await _say(app, line.strip(), thread, user)
        except ParleyError as error:
            click.echo(str(error))
        click.echo()


def _read() -> str:
    if sys.stdin.isatty():
        return input("> ")
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


async def _say(app: App, line: str, thread: str, user: str) -> None:
    from bot import commands
    from bot.cli.tables import show_reply
    from bot.platforms import console

    if line.startswith("/"):
        name, _, args = line[1:].partition(" ")
        show_reply(await commands.run(name, args, console.context(app.services, thread=thread, user=user)))
        return
    await _answer(app, line, thread, user, strong=False, quiet=False)


COMMANDS = (ask, chat, why)
