"""Runs the commands of the page and turns their results, errors and files into replies that it shows."""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace

from bot.commands.base import Context, File
from bot.errors import ParleyError
from bot.platforms.web import render, user_messages
from bot.platforms.web.conversation_files import PageFiles
from bot.platforms.web.json_views import FileView, MessageView
from bot.platforms.web.playground_ports import CommandRunner
from bot.types.conversation import Author
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


async def reply_of_command(
    commands: CommandRunner, files: PageFiles, name: str, args: str, reply: MessageView, context: Context
) -> MessageView:
    """Run a command and return ``reply`` filled with its result or its error."""
    try:
        result = await commands.run(name, args, context)
    except (ParleyError, KnowledgeError) as error:
        return replace(reply, blocks=render.blocks(str(error)), final=True, failed=True)
    except Exception:
        trace = secrets.token_hex(4)
        log.exception("command %s failed, trace ID %s", name, trace)
        text = user_messages.UNEXPECTED_ERROR.format(trace=trace)
        return replace(reply, blocks=render.blocks(text), final=True, failed=True)
    numbers = frozenset(citation.n for citation in result.citations)
    try:
        blocks = render.blocks(result.answer or result.text, numbers, links=result.links)
        blocks += (render.table(result.table),) if result.table else ()
    except Exception:
        log.exception("the reply of %s is shown as plain text", name)
        blocks = render.plain(result.text)
    notes = result.notes if result.answer else ()
    shown = replace(reply, blocks=blocks, final=True, private=result.private, notes=notes)
    shown = replace(shown, sources=tuple(map(render.source, result.citations)))
    return await _with_file(files, shown, result.file, context.author) if result.file else shown


async def _with_file(files: PageFiles, reply: MessageView, file: File, author: Author) -> MessageView:
    """Add the file of a reply to it, or the note that the file could not be stored."""
    try:
        return replace(reply, file=await _keep_file(files, file, author))
    except Exception:
        log.exception("the file %s of a reply could not be stored", file.name)
        return replace(reply, notes=(*reply.notes, user_messages.FILE_NOT_STORED))


async def _keep_file(files: PageFiles, file: File, author: Author) -> FileView:
    key = await files.keep_reply(file, author.id)
    return FileView(file.name, f"api/files/{key}", file.content_type in ("image/png", "image/jpeg"))
