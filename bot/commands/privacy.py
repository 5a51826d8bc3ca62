"""The ``privacy`` command: shows, exports or erases the data stored about the user who runs it."""

from __future__ import annotations

from functools import partial

from bot.commands import arguments, help_text, user_messages
from bot.commands.base import Command, Context, File, Reply
from bot.errors import UsageError
from bot.store.privacy import data_export, erasure
from bot.types.json_documents import to_json


async def run(context: Context, line: str) -> Reply:
    """Show, export or erase the data stored about the user."""
    match arguments.words(line.lower()):
        case []:
            stored = await _exported(context)
            counts = (len(stored["turns"]), len(stored["feedback"]), len(stored["calls"]))
            return Reply(user_messages.stored_data(*counts))
        case ["export"]:
            data = to_json(await _exported(context)).encode()
            return Reply(user_messages.PRIVACY_EXPORTED, file=File("parley.json", data, "application/json"))
        case ["erase"]:
            raise UsageError(user_messages.ERASE_NEEDS)
        case ["erase", "me"]:
            return await _erase(context, None)
        case ["erase", "me", "delete" | "keep" as documents]:
            return await _erase(context, "delete" if documents == "delete" else "keep")
        case _:
            raise UsageError(user_messages.wrong_usage("privacy", help_text.PRIVACY_USAGE))


async def _erase(context: Context, documents: erasure.DocumentsChoice | None) -> Reply:
    try:
        erasing = partial(erasure.erase, tenant_id=context.tenant_id, user_id=context.author.id, documents=documents)
        erased = await context.services.database.run(context.tenant_id, erasing)
    except erasure.UndecidedDocuments as undecided:
        raise UsageError(user_messages.undecided_documents(undecided.count)) from None
    return Reply(user_messages.erased(erased["turns"]))


async def _exported(context: Context) -> dict[str, list[object]]:
    async with context.services.database.tenant(context.tenant_id) as session:
        return await data_export.export(session, tenant_id=context.tenant_id, user_id=context.author.id)


COMMAND = Command("privacy", help_text.PRIVACY_SUMMARY, help_text.PRIVACY_USAGE, run, anyone=True)
