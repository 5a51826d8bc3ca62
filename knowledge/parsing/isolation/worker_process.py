"""Worker process that parses untrusted files with limited memory, no network and no files of its own.

Run as ``python -m knowledge.parsing.isolation.worker_process BYTES`` with the memory that the process may use. It
isolates itself, sends a frame that says how, then reads frames from stdin and answers each on stdout. The parent
process kills it when a file takes too long.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, BinaryIO

from knowledge.errors import NoTextError, ParseError, PrivateChatError
from knowledge.parsing import parsers
from knowledge.parsing.format_detection import detect
from knowledge.parsing.isolation import page_protocol, process_isolation, worker_protocol
from knowledge.parsing.isolation.worker_protocol import Response
from knowledge.parsing.ocr import text_recognition
from knowledge.parsing.ocr.text_recognition import Recognizer
from knowledge.parsing.parse_options import ParseOptions

MAX_MEMORY_BYTES = 512 * 1024 * 1024
"""Memory of the whole process: its libraries, the bytes of a file, and what parsing the file needs."""
LIBRARY_MEMORY_BYTES = 24 * 1024 * 1024
"""Room for pages of libraries that are loaded while a file is parsed. They need no address space of their own."""
PARSER_MEMORY_BYTES = 384 * 1024 * 1024
"""Address space that all parser modules together may use. All of them need 170 MB on x86_64."""
RECOGNITION_MEMORY_BYTES = 1536 * 1024 * 1024
"""Address space that recognizing text may use beyond that: its libraries, its models and a page. It needs 1.2 GB."""


def main(*, without: Collection[str] = ()) -> None:
    """Isolate the process, then respond to frames until stdin ends. ``without`` is for tests of the isolation."""
    memory = _Memory(int(sys.argv[1]) if len(sys.argv) > 1 else MAX_MEMORY_BYTES)
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the responses
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if process_isolation.LIMITS not in without:
        memory.limit_for_ever()
    isolation = process_isolation.isolate(without=without)
    worker_protocol.Response(asdict(isolation)).write(responses)
    while (received := worker_protocol.read(sys.stdin.buffer)) is not None:
        head, data = received
        response = _respond(head, data, memory, responses)
        del received, data  # The next file's bytes are read while these would still be held.
        if memory.is_used_up() or time.process_time() > process_isolation.MAX_CPU_SECONDS / 2:
            response.head["restart"] = True
        response.write(responses)
        del response


@dataclass(slots=True)
class _Memory:
    """Limits the address space. The file is opened early, because the isolated process cannot open it.

    ``most`` is the memory in bytes that the process may use.
    """

    most: int
    _at_start: int = 0
    _statm: int | None = None

    def __post_init__(self) -> None:
        if sys.platform == "linux":
            self._statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
        self._at_start = self._used()[0]

    def limit_for_ever(self) -> None:
        """Set a limit that code in the process cannot raise."""
        if self._statm is not None:
            recognition = RECOGNITION_MEMORY_BYTES if text_recognition.is_installed() else 0
            most = self._at_start + PARSER_MEMORY_BYTES + self.most + recognition
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def limit_for_file(self) -> None:
        """Allow what is left of ``most`` bytes, so that the file and the libraries together do not use more."""
        self._allow(max(0, self.most - self._used()[1] - LIBRARY_MEMORY_BYTES))

    def _allow(self, more: int) -> None:
        if self._statm is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            most = self._used()[0] + more
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))

    def allow_recognition(self) -> None:
        """Allow what recognizing text needs, in addition to what the file uses now."""
        self._allow(RECOGNITION_MEMORY_BYTES)

    def is_used_up(self) -> bool:
        """Whether earlier files left so much behind that the next one would have less than three quarters of it."""
        size, resident = self._used()
        return size > self._at_start + PARSER_MEMORY_BYTES or resident > self.most // 4

    def _used(self) -> tuple[int, int]:
        """Return the size of the address space, and of what is in memory; zeros on a system that does not tell."""
        if self._statm is None:
            return 0, 0
        size, resident = os.pread(self._statm, 100, 0).split()[:2]
        return int(size) * resource.getpagesize(), int(resident) * resource.getpagesize()


def _unavailable_formats() -> list[str]:
    """Import every parser, and return the formats whose parser, or a library of it, cannot be imported."""
    found: list[str] = []
    for kind in (*parsers.BINARY_PARSERS, *parsers.TEXT_PARSERS):
        try:
            parsers.import_parser(kind)
        except Exception:
            found.append(kind)
    return found


def _with_recognizer(options: ParseOptions, memory: _Memory, responses: BinaryIO) -> ParseOptions:
    """Add what reads scanned pages, if it is installed. A message after each page gives the next one its time."""
    if not text_recognition.is_installed() or not options.recognized_pages:
        return options
    recognized = worker_protocol.Response({"recognized": True})
    recognizer = Recognizer(options.recognized_pages, memory.allow_recognition, lambda: recognized.write(responses))
    return replace(options, recognizer=recognizer)


def _without_earlier_mails(body: bytes, sizes: Sequence[int]) -> tuple[list[bytes], bytes]:
    """Split a body into the earlier mails at its beginning and the file itself."""
    mails: list[bytes] = []
    start = 0
    for size in sizes:
        mails.append(body[start : start + size])
        start += size
    return mails, body[start:] if start else body


def _respond_about_pages(head: dict[str, Any], data: bytes, memory: _Memory) -> Response | None:
    if not page_protocol.is_request(head):
        return None
    parsers.import_parser("pdf")
    memory.limit_for_file()
    return Response(*page_protocol.response_to(head, data))


def _respond(head: dict[str, Any], data: bytes, memory: _Memory, responses: BinaryIO) -> Response:
    if "check" in head:
        return Response({"unavailable": _unavailable_formats()})
    try:
        if (about_pages := _respond_about_pages(head, data, memory)) is not None:
            return about_pages
        name, content_type = str(head["name"]), str(head["content_type"])
        options = _with_recognizer(ParseOptions(**head["options"]), memory, responses)
        earlier_mails, data = _without_earlier_mails(data, head["earlier_mail_sizes"])
        options = replace(options, earlier_mails=earlier_mails)
        kind = detect(data, name, content_type, max_unpacked=options.max_unpacked)
        parsers.import_parser(kind)
        memory.limit_for_file()
        parsed = parsers.parse(data, name, content_type, options, kind=kind)
        return worker_protocol.document_response(parsed, head.get("max_chars"))
    except PrivateChatError as error:
        return Response({"error": str(error), "private": True})
    except NoTextError as error:
        return Response({"error": str(error), "empty": True})
    except ParseError as error:
        return Response({"error": str(error)})
    except (MemoryError, RecursionError):
        error_text = f"it needs more than {memory.most // 2**20} MB of memory. Split it into smaller files"
        return Response({"error": error_text, "restart": True})
    except Exception as error:
        return Response({"error": f"it cannot be read ({type(error).__name__}). Save it again or in another format"})


if __name__ == "__main__":
    main()
