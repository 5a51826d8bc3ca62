"""``privacy``: what is kept of oneself, handed over or erased."""

from __future__ import annotations

import json

from bot.commands import arguments
from bot.commands.base import Command, Context, File, Reply
from bot.errors import UsageError
from bot.store import privacy

USAGE = "[export | erase me]"


async def run(context: Context, line: str) -> Reply:
    """Show, hand over, or erase what is kept of the person who asks."""
    match arguments.words(line.lower()):
        case []:
            kept = await _exported(context)
            return Reply(
                f"Kept of you: {len(kept['turns'])} questions with their answers, {len(kept['feedback'])} ratings and "
                f"{len(kept['calls'])} rows in the ledger of costs. `/privacy export` hands it over, "
                "`/privacy erase me` erases it; of the ledger only numbers stay, under nobody's name."
            )
        case ["export"]:
            data = json.dumps(await _exported(context), ensure_ascii=False, indent=2, default=str).encode()
            return Reply("This is everything that is kept of you.", file=File("parley.json", data, "application/json"))
        case ["erase", "me"]:
            async with context.services.database.tenant(context.tenant_id) as session:
                done = await privacy.erase(session, tenant_id=context.tenant_id, user_id=context.author.id)
            return Reply(f"Erased: {done['turns']} questions with their answers, and everything that came of them.")
        case _:
            raise UsageError(f"Write /privacy {USAGE}.")


async def _exported(context: Context) -> dict[str, list[object]]:
    async with context.services.database.tenant(context.tenant_id) as session:
        return await privacy.export(session, tenant_id=context.tenant_id, user_id=context.author.id)


COMMAND = Command("privacy", "shows, hands over or erases what is kept of you", USAGE, run)
