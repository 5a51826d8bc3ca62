"""Parses files in a process apart, so that a bad file costs that process and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import worker_protocol
from knowledge.parsing.document_builder import Parsed
from knowledge.parsing.worker_process import MEMORY
from knowledge.types import Document, Fetched

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30.0
MAX_ANSWER = 512 * 1024 * 1024


class Parser:
    """Turns fetched bytes into documents, one after the other, in one process that is used for many files.

    The process starts with the first file and again after one that ran out of time or memory, or killed it.
    """

    def __init__(self, *, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds = seconds
        self._memory = memory
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def parse(self, fetched: Fetched) -> Document:
        """Raises ParseError, in words that follow the name of the document."""
        async with self._lock:
            parsed = await self._ask(fetched)
        told = {**parsed.metadata, **fetched.metadata}
        return Document(fetched.uri, fetched.title or parsed.title, parsed.text, parsed.blocks, told)

    async def aclose(self) -> None:
        """End the process."""
        await self._end()

    async def _ask(self, fetched: Fetched) -> Parsed:
        head = {"name": fetched.uri, "content_type": fetched.content_type, "memory": self._memory}
        try:
            async with asyncio.timeout(self._seconds):
                process = await self._running()
                answer = await _exchange(process, worker_protocol.frame(head, fetched.data))
        except TimeoutError:
            await self._end()
            raise ParseError(f"it took longer than {self._seconds:g} s to read; split it") from None
        except (OSError, EOFError):
            await self._end()
            raise ParseError("it crashed the parser; save it again or as another format") from None
        except BaseException:
            await self._end()
            raise
        if answer.get("exhausted"):
            await self._end()
        if "error" in answer:
            raise ParseError(str(answer["error"]))
        try:
            return worker_protocol.unpacked(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            await self._end()
            raise ParseError("the parser's answer makes no sense; save the file again") from None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "knowledge.parsing.worker_process",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=ROOT,
                env=_environment(),
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> dict[str, Any]:
    """Send one frame and read the answer. Raises EOFError where the process ended instead."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    await process.stdin.drain()
    lengths = await process.stdout.readexactly(worker_protocol.LENGTHS.size)
    head, body = worker_protocol.LENGTHS.unpack(lengths)
    if head + body > MAX_ANSWER:
        raise EOFError
    answer = await process.stdout.readexactly(head + body)
    loaded: dict[str, Any] = json.loads(answer[:head])
    return loaded


def _environment() -> dict[str, str]:
    """Nothing of the bot's own environment but what starts Python: no keys, no tokens, no database address."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "HOME": "/nonexistent", "MALLOC_ARENA_MAX": "2"}
