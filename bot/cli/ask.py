"""The ``parley ask`` and ``parley chat`` commands: ask questions in the terminal."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_app
from bot.cli.options import json_option
from bot.cli.output import echo, print_json, show_reply
from bot.cli.parameter_types import Identifier
from bot.errors import ParleyError, UsageError
from bot.types.audience import MEMBERS
from bot.types.conversation import LOCAL_TENANT, Incoming
from bot.types.turns import Outcome, Turn
from bot.types.usage import NO_MODEL

if TYPE_CHECKING:
    from bot.app import App

USER = "you"
_PROMPT = "> "
_NEED_A_WORKER = ("ingest", "docs")
"""Commands that queue ingestion runs and follow them."""
thread_option = click.option(
    "--thread",
    type=Identifier(),
    metavar="NAME",
    help="Continue the thread with this name, or start it.  [default: a new thread]",
)
user_option = click.option(
    "--user",
    type=Identifier(),
    default=USER,
    show_default=True,
    metavar="ID",
    help="ID of the asker, to whom tokens and costs are charged.",
)


@click.command()
@click.argument("question")
@thread_option
@user_option
@click.option("--strong", is_flag=True, help="Ask the strong model.")
@click.option("--fresh", is_flag=True, help="Do not use the answer cache.")
@json_option
def ask(question: str, thread: str | None, user: str, strong: bool, fresh: bool, as_json: bool) -> None:
    """Ask a question and print the answer with its sources."""
    from bot.platforms import console

    message = console.incoming(
        question, thread=thread or _new_thread(), user=user, wish="strong" if strong else None, fresh=fresh
    )
    outcome, turn_id = with_app(
        lambda app: _answer_and_id(app, message, quiet=as_json), warm=True, announce=not as_json
    )
    if as_json:
        print_json(as_document(outcome, turn_id))
    failure = user_messages.ANSWER_STOPPED if outcome.state == "cancelled" else outcome.refused
    if failure is not None:
        if as_json:
            sys.exit(1)
        raise ParleyError(failure)


@click.command()
@thread_option
@user_option
def chat(thread: str | None, user: str) -> None:
    """Chat in one thread.

    /help lists the commands. /again repeats the last question without the answer cache, /again strong asks the strong
    model. Ctrl-C stops an answer. Ctrl-D ends the chat.
    """
    with_app(lambda app: _chat(app, thread or _new_thread(), user), warm=True, announce=True)


def as_document(outcome: Outcome, turn_id: str) -> dict[str, Any]:
    """Return an answer, with its short id, as the JSON document of the command line.

    ``notes`` say what people see below the answer, such as that it was cut. ``outage`` is the reason why no model could
    answer, so that the documents are quoted; None if there is none.
    """
    usage, route, outage = outcome.usage, outcome.route, outcome.trace.get("outage") or None
    return {
        "turn_id": turn_id,
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
        "route": {"tier": route.tier, "model": NO_MODEL if outage else route.model, "reason": route.reason}
        if route
        else None,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
            "completion_tokens": usage.completion_tokens,
        },
        "cost_usd": outcome.cost_usd,
        "cached": outcome.cached,
        "refused": outcome.refused,
        "notes": list(outcome.trace.get("notes", ())),
        "outage": outage,
        "timings_ms": {name: outcome.timings_ms.get(name) for name in ("search", "ttft", "total")},
    }


def _new_thread() -> str:
    return uuid.uuid4().hex[:12]


async def _answer_and_id(app: App, message: Incoming, *, quiet: bool) -> tuple[Outcome, str]:
    """Return the answer and its short id."""
    from bot.store.turns import answer_ids

    outcome = await _answer(app, message, quiet=quiet)
    async with app.database.tenant(LOCAL_TENANT) as session:
        ids = await answer_ids.shortened(session, tenant_id=LOCAL_TENANT, turn_ids=[outcome.turn_id])
    return outcome, ids[outcome.turn_id]


async def _answer(app: App, message: Incoming, *, quiet: bool = False, in_chat: bool = False) -> Outcome:
    from bot.platforms import console

    # A terminal that was killed leaves its question open, and later questions of the thread wait for that answer.
    await app.dispatcher.resume("console", lambda _: console.SilentTerminal())
    turn = await app.dispatcher.accept(message)
    if turn is None:
        raise UsageError(user_messages.ASKED_ALREADY)
    if quiet:
        return await app.dispatcher.start(turn, console.SilentTerminal())
    return await _printed(app, turn, in_chat=in_chat)


async def _printed(app: App, turn: Turn, *, in_chat: bool) -> Outcome:
    """Answer the turn on the terminal. In a chat, Ctrl-C stops the answer. Raises OSError if it cannot be written."""
    from bot.platforms import console

    terminal = console.Terminal()
    with _ctrl_c_stops(app, turn) if in_chat else nullcontext():
        outcome = await app.dispatcher.start(turn, terminal)
    if terminal.error is not None:
        raise terminal.error
    return outcome


@contextmanager
def _ctrl_c_stops(app: App, turn: Turn) -> Iterator[None]:
    """Make Ctrl-C stop the turn instead of this process. A second Ctrl-C ends the process."""
    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    stopping: list[asyncio.Task[None]] = []

    def on_ctrl_c() -> None:
        if stopping and running is not None:
            running.cancel()
        stopping.append(loop.create_task(_stop(app, turn)))

    with _on_ctrl_c(on_ctrl_c):
        yield


@contextmanager
def _on_ctrl_c(handle: Callable[[], None]) -> Iterator[None]:
    """Call ``handle`` at Ctrl-C, in place of ending this process."""
    loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, handle)
    except (NotImplementedError, RuntimeError, ValueError):
        # Signal handlers work only in the main thread on Unix. Elsewhere Ctrl-C ends the process.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


async def _stop(app: App, turn: Turn) -> None:
    with suppress(ParleyError):
        await app.dispatcher.stop(turn.id, turn.author, tenant_id=LOCAL_TENANT)


async def _repeat(app: App, turn_id: str | None, user: str, *, strong: bool) -> Outcome:
    """Ask the last question of the chat again, bypassing the answer cache. Raises UsageError if there is none."""
    from bot.platforms import console

    if turn_id is None:
        raise UsageError(user_messages.NOTHING_ASKED)
    turn = await app.dispatcher.repeat(
        turn_id,
        console.author(user),
        tenant_id=LOCAL_TENANT,
        wish="strong" if strong else None,
        audience=MEMBERS,
    )
    return await _printed(app, turn, in_chat=True)


async def _chat(app: App, thread: str, user: str) -> None:
    echo(user_messages.chat_intro(thread), err=True)
    last: str | None = None
    while True:
        try:
            with _on_ctrl_c(_say_how_to_end) if sys.stdin.isatty() else nullcontext():
                line = await asyncio.to_thread(_read_line)
        except (EOFError, KeyboardInterrupt):
            return
        if not line.strip():
            continue
        try:
            last = await _handle_line(app, line.strip(), thread, user, last) or last
        except ParleyError as error:
            echo(str(error))
        echo()


def _say_how_to_end() -> None:
    sys.stdout.write(f"\n{user_messages.CTRL_D_ENDS}\n{_PROMPT}")
    sys.stdout.flush()


def _read_line() -> str:
    if sys.stdin.isatty():
        return input(_PROMPT)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


async def _handle_line(app: App, line: str, thread: str, user: str, last: str | None) -> str | None:
    """Run the command or answer the question in a line; ``last`` is the id of the previous turn.

    Return the id of the new turn; None for a command.
    """
    from bot.commands import registry as commands
    from bot.commands.arguments import first_word
    from bot.platforms import console

    name, args = first_word(line[1:])
    if line.startswith("/") and name == "again":
        return (await _repeat(app, last, user, strong=args == "strong")).turn_id
    if line.startswith("/"):
        context = console.context(app.services, thread=thread, user=user)
        async with _worker_for(app, name):
            show_reply(await commands.run(name, args, context))
        return None
    return (await _answer(app, console.incoming(line, thread=thread, user=user), in_chat=True)).turn_id


@asynccontextmanager
async def _worker_for(app: App, name: str) -> AsyncIterator[None]:
    """Run a worker in this process during a command that waits for one, unless a worker runs already."""
    if name not in _NEED_A_WORKER or await app.services.ingestion.has_worker():
        yield
        return
    from bot.jobs import working

    async with working(app.services):
        yield


COMMANDS = (ask, chat)
