"""``ask``, ``chat`` and ``why``."""

from __future__ import annotations

import sys
import uuid
from typing import TYPE_CHECKING, Any

import click

from bot.cli.command_runtime import json_option, print_json, run, settings, tenant_option, with_app
from bot.errors import ParleyError, UsageError
from bot.types.conversation import LOCAL_TENANT, Incoming
from bot.types.turns import Outcome

if TYPE_CHECKING:
    from bot.app import App

USER = "you"


@click.command()
@click.argument("question")
@click.option("--thread", help="Go on in this thread; any name begins one.")
@click.option("--user", default=USER, show_default=True, help="Who asks; budgets count by this id.")
@click.option("--strong", is_flag=True, help="Ask the strong model.")
@click.option("--fresh", is_flag=True, help="Answer anew, also where the same was answered before.")
@json_option
def ask(question: str, thread: str | None, user: str, strong: bool, fresh: bool, as_json: bool) -> None:
    """Ask a question and print the answer with its sources."""
    from bot.platforms import console

    asked = console.incoming(
        question, thread=thread or _new_thread(), user=user, wish="strong" if strong else None, fresh=fresh
    )
    outcome = with_app(lambda app: _answer(app, asked, quiet=as_json), warm=True)
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
    """Talk in one thread; /help lists the commands, /again asks the last question anew, Ctrl-D ends."""
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
    from bot.cli.output import show_reply
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


async def _answer(app: App, asked: Incoming, *, quiet: bool = False) -> Outcome:
    from bot.commands.ask import Unseen
    from bot.platforms import console

    turn = await app.dispatcher.accept(asked)
    if turn is None:
        raise UsageError("That question was asked already.")
    return await app.dispatcher.start(turn, Unseen() if quiet else console.Terminal())


async def _again(app: App, turn_id: str | None, user: str, *, strong: bool) -> Outcome:
    """The last question of the chat, past the answer cache. Raises UsageError where there is none."""
    from bot.platforms import console

    if turn_id is None:
        raise UsageError("Nothing was asked here yet; ask, and /again asks it anew.")
    turn = await app.dispatcher.repeat(
        turn_id, console.author(user), tenant_id=LOCAL_TENANT, wish="strong" if strong else None
    )
    return await app.dispatcher.start(turn, console.Terminal())


async def _chat(app: App, thread: str, user: str) -> None:
    import asyncio

    click.echo(f"Thread {thread}. Ask, or write /help; /again asks anew; Ctrl-D ends.", err=True)
    last: str | None = None
    while True:
        try:
            line = await asyncio.to_thread(_read)
        except (EOFError, KeyboardInterrupt):
            return
        if not line.strip():
            continue
        try:
            last = await _say(app, line.strip(), thread, user, last) or last
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


async def _say(app: App, line: str, thread: str, user: str, last: str | None) -> str | None:
    """Carry out a line; ``last`` is the turn before. The id of the turn that the line is, None where it is none."""
    from bot import commands
    from bot.cli.output import show_reply
    from bot.platforms import console

    name, _, args = line[1:].partition(" ")
    if line.startswith("/") and name == "again":
        return (await _again(app, last, user, strong=args.strip() == "strong")).turn_id
    if line.startswith("/"):
        show_reply(await commands.run(name, args, console.context(app.services, thread=thread, user=user)))
        return None
    return (await _answer(app, console.incoming(line, thread=thread, user=user))).turn_id


COMMANDS = (ask, chat, why)
