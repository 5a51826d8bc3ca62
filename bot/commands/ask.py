"""``ask``: a question whose answer only the asker sees."""

from __future__ import annotations

import uuid

from bot.commands.base import Command, Context, Reply
from bot.errors import UsageError
from bot.types import Incoming, Limits, Outcome, Part, ThreadKey

USAGE = "QUESTION"


class Unseen:
    """A Surface that shows nothing: the outcome alone is wanted."""

    limits = Limits(message_chars=100_000, edit_interval=3600.0, max_parts=1, here_only=True)

    async def post(self, part: Part) -> str:
        return part.nonce

    async def edit(self, ref: str, part: Part) -> None:
        return None

    async def delete(self, ref: str) -> None:
        return None

    async def find(self, nonce: str) -> str | None:
        return nonce


async def run(context: Context, line: str) -> Reply:
    """Answer in private, in a thread of its own."""
    if not line.strip():
        raise UsageError(f"Write /ask {USAGE}.")
    services = context.services
    own = uuid.uuid4().hex
    turn = await services.desk.accept(
        Incoming(
            thread=ThreadKey(context.tenant_id, context.platform, context.channel_id, f"ask:{own}"),
            message_id=f"ask:{own}",
            author=context.author,
            text=line.strip(),
            kind="ask",
            sent_at=services.clock(),
        )
    )
    assert turn is not None
    outcome = await services.desk.start(turn, Unseen())
    return Reply(text_of(outcome), shareable=outcome.refused is None)


def text_of(outcome: Outcome) -> str:
    """An answer with its sources as one text."""
    if outcome.refused is not None:
        return outcome.refused
    sources = "\n".join(f"[{citation.n}] {citation.place}" for citation in outcome.citations)
    return f"{outcome.answer}\n\n{sources}".strip()


COMMAND = Command("ask", "answers you alone", USAGE, run)
