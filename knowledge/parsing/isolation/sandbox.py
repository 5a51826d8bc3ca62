"""Parses files in a separate, isolated process, so that a malicious or damaged file cannot harm the bot."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from knowledge import refusal_counts
from knowledge.errors import NoTextError, ParseError, PrivateChatError
from knowledge.off_loop_work import in_thread_if_large
from knowledge.parsing.isolation import page_protocol, worker_protocol
from knowledge.parsing.isolation.process_isolation import Isolation, hide_memory_and_environment
from knowledge.parsing.isolation.worker_process import MAX_MEMORY_BYTES
from knowledge.parsing.mail_attachments import attached_file
from knowledge.parsing.page_display import PageLayouts, PagePicture, QuoteOnPage
from knowledge.parsing.parse_options import MAX_UNPACKED, RECOGNIZED_PAGES, ParseOptions
from knowledge.types.documents import Document
from knowledge.types.source_items import Fetched

PROJECT_ROOT = Path(__file__).resolve().parents[3]
TIMEOUT_SECONDS = 30.0
FIRST_BYTES = 16 * 1024
"""Bytes of a file that are written together with the head of its frame."""
WRITE_BYTES = 256 * 1024
"""Bytes of a file that are handed to the pipe at once; the next follow when it has taken them."""
READ_BYTES = 1024 * 1024
_INVALID = "the parser returned an invalid result. Save the file again or in another format"

_Result = TypeVar("_Result")

log = logging.getLogger(__name__)
_logged: set[Isolation] = set()


class Parser:
    """Parses fetched bytes into documents, one at a time, in one worker process that is reused for many files.

    The process starts with the first file. It starts again after a file that crashed it or exceeded a limit.
    """

    _worker_command: Sequence[str] = ("-m", "knowledge.parsing.isolation.worker_process")

    def __init__(
        self,
        *,
        seconds: float = TIMEOUT_SECONDS,
        memory: int = MAX_MEMORY_BYTES,
        max_unpacked: int = MAX_UNPACKED,
        recognized_pages: int = RECOGNIZED_PAGES,
    ) -> None:
        self._seconds = seconds
        self._recognized_pages = recognized_pages
        self._max_unpacked = max_unpacked
        self._memory = memory
        self._process: asyncio.subprocess.Process | None = None
        self._isolation: Isolation | None = None
        self._lock = asyncio.Lock()

    async def parse(self, fetched: Fetched, *, max_chars: int | None = None, include_hidden: bool = False) -> Document:
        """Parse a file, or read the first ``max_chars`` characters of its text.

        ``include_hidden`` is as in ``ParseOptions``. Raises ParseError, whose message is meant to follow the document's
        name; PrivateChatError if it is a private conversation.
        """
        options = ParseOptions(include_hidden, fetched.private_chats, self._max_unpacked, self._recognized_pages)
        head = {
            "name": fetched.name or fetched.uri,
            "content_type": fetched.content_type,
            "max_chars": max_chars,
            "options": asdict(options),
            "earlier_mail_sizes": [len(mail) for mail in fetched.earlier_mails],
        }
        body = b"".join((*fetched.earlier_mails, fetched.data)) if fetched.earlier_mails else fetched.data
        parsed = await self._ask_worker(
            fetched.uri, head, body, worker_protocol.document_of, recognized_pages=options.recognized_pages
        )
        metadata = {**parsed.metadata, **fetched.metadata}
        title = fetched.title or parsed.title
        attached = tuple(attached_file(fetched, one.name, one.data, one.content_type) for one in parsed.attached)
        return Document(fetched.uri, title, parsed.text, parsed.blocks, metadata, parsed.warnings, attached)

    async def isolation(self) -> Isolation:
        """Return how the worker process is isolated on this system.

        Raises OSError, EOFError or TimeoutError if it cannot start.
        """
        async with self._started_worker():
            assert self._isolation is not None
            return self._isolation

    async def unavailable_formats(self) -> list[str]:
        """Return the formats whose parser cannot be imported in the isolated process, such as for a missing library.

        Raises OSError, EOFError or TimeoutError as above.
        """
        async with self._started_worker() as process:
            response, _ = await _request(process, {"check": True})
            return list(map(str, response["unavailable"]))

    async def aclose(self) -> None:
        """End the worker process."""
        await self._end()

    @asynccontextmanager
    async def _started_worker(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Hold the worker process, and end it after an error, which may have left half of a frame unread."""
        async with self._lock:
            try:
                async with asyncio.timeout(self._seconds):
                    yield await self._worker()
            except BaseException:
                await self._end()
                raise

    async def page_layouts(
        self, name: str, data: bytes, *, first: int, last: int, quotes: Mapping[int, QuoteOnPage]
    ) -> PageLayouts:
        """Return the layouts of the pages ``first`` to ``last`` of a PDF, from 1, with the places of quotes by page.

        Raises ParseError as above, also if the pages cannot be drawn.
        """
        request = page_protocol.layouts_request(first, last, quotes)
        return await self._ask_worker(name, request, data, page_protocol.layouts_of)

    async def draw_page(self, name: str, data: bytes, page: int, *, side: int) -> PagePicture:
        """Draw a page of a PDF, from 1, with ``side`` pixels on its longer side. Raises ParseError as above."""
        return await self._ask_worker(name, page_protocol.picture_request(page, side), data, page_protocol.picture_of)

    async def _ask_worker(
        self,
        name: str,
        head: dict[str, Any],
        data: bytes,
        convert: Callable[[dict[str, Any], bytearray], _Result],
        *,
        recognized_pages: int = 0,
    ) -> _Result:
        """Send one request about a file and convert the response. Each recognized page has a time limit of its own."""
        async with self._lock:
            response, body = await self._exchange(name, head, data, recognized_pages)
            if response.get("restart"):
                await self._end()
            if response.get("restart") and "error" in response:
                refusal_counts.count("parser")
            if "error" in response:
                raise _parse_error(response)
            try:
                return await in_thread_if_large(len(body), convert, response, body)
            except (KeyError, TypeError, ValueError, AttributeError):
                await self._end()
                raise ParseError(_INVALID) from None

    async def _exchange(
        self, name: str, head: dict[str, Any], data: bytes, recognized_pages: int
    ) -> tuple[dict[str, Any], bytearray]:
        """Return the head and the body of the response. Raises ParseError."""
        try:
            async with asyncio.timeout(self._seconds) as limit:
                process = await self._worker()
                _log_once(self._isolation)
                response, body = await _request(process, head, data)
                for _ in range(recognized_pages):
                    if response.get("recognized") is not True:
                        break
                    limit.reschedule(asyncio.get_running_loop().time() + self._seconds)
                    response, body = await _response(process, len(data))
                return response, body
        except TimeoutError:
            refusal_counts.count("parser")
            await self._end()
            raise ParseError(
                f"it took longer than {self._seconds:g} seconds to read. Split it into smaller files"
            ) from None
        except (OSError, EOFError):
            refusal_counts.count("parser")
            returncode = await self._end()
            if returncode == -signal.SIGSYS:
                log.warning("A file made the parser attempt a forbidden system call: %s", name)
                raise ParseError("it attempted something that no document needs. Do not trust this file") from None
            raise ParseError("it crashed the parser. Save it again or in another format") from None
        except (ValueError, RecursionError):
            await self._end()
            raise ParseError(_INVALID) from None
        except BaseException:
            await self._end()
            raise

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            hide_memory_and_environment()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *self._worker_command,
                str(self._memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=PROJECT_ROOT,
                env=_environment(),
                start_new_session=True,
                limit=READ_BYTES,
            )
            self._isolation = Isolation.from_json((await _response(self._process))[0])
        return self._process

    async def _end(self) -> int | None:
        """End the worker process and return its exit status, or None if there was no process."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            # process.kill() would first ask whether the process has ended. That takes the exit status from the thread
            # of asyncio that waits for it, which then reports 255 and hides the signal.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()


async def _request(
    process: asyncio.subprocess.Process, head: dict[str, Any], body: bytes = b""
) -> tuple[dict[str, Any], bytearray]:
    """Send one frame and read the response. Raises EOFError if the process ends first or the response is too large."""
    assert process.stdin is not None
    rest = memoryview(body)
    # A small file travels with its head, because each write wakes the other process.
    process.stdin.write(worker_protocol.request_head(head, len(body)) + rest[:FIRST_BYTES])
    for start in range(FIRST_BYTES, len(body), WRITE_BYTES):
        process.stdin.write(rest[start : start + WRITE_BYTES])
        await process.stdin.drain()
    await process.stdin.drain()
    return await _response(process, len(body))


async def _response(process: asyncio.subprocess.Process, sent: int = 0) -> tuple[dict[str, Any], bytearray]:
    """Read the answer to ``sent`` bytes.

    Raises EOFError as above, and ValueError or RecursionError if its head is no JSON object.
    """
    assert process.stdout is not None
    lengths = await process.stdout.readexactly(worker_protocol.LENGTHS.size)
    head_size, body_size = worker_protocol.LENGTHS.unpack(lengths)
    if head_size > worker_protocol.MAX_HEAD_BYTES or body_size > worker_protocol.max_body_bytes(sent):
        raise EOFError
    head = json.loads(await process.stdout.readexactly(head_size))
    body = bytearray()
    while len(body) < body_size:
        piece = await process.stdout.read(min(READ_BYTES, body_size - len(body)))
        if not piece:
            raise EOFError
        body += piece
    if not isinstance(head, dict):
        raise ValueError("no object")
    return head, body


def _parse_error(response: dict[str, Any]) -> ParseError:
    kinds = {"private": PrivateChatError, "empty": NoTextError}
    kind = next((found for key, found in kinds.items() if response.get(key) is True), ParseError)
    return kind(worker_protocol.error_from_json(response))


def _log_once(isolation: Isolation | None) -> None:
    if isolation is None or isolation in _logged:
        return
    _logged.add(isolation)
    if isolation.complete:
        log.info("Parser sandbox: %s", isolation)
    else:
        log.warning("Parser sandbox: %s. A malicious file %s.", isolation, isolation.risk)


def _environment() -> dict[str, str]:
    """Return only the variables that start Python: no API keys, no tokens and no database URL of the bot."""
    inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {
        **inherited,
        "PYTHONPATH": str(PROJECT_ROOT),
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "MALLOC_ARENA_MAX": "2",
        **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    }
