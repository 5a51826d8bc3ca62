"""Worker process that parses untrusted files with limited memory and no secrets in its environment.

Run as ``python -m knowledge.parsing.worker_process``. It reads frames from stdin and answers each on stdout. The parent
process kills it when a file takes too long.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from pathlib import Path
from typing import Any

from knowledge.errors import ParseError
from knowledge.parsing import parsers, worker_protocol
from knowledge.parsing.format_detection import detect

MAX_MEMORY_BYTES = 512 * 1024 * 1024
"""Memory that parsing a file may use beyond what the loaded parser already uses."""


def main() -> None:
    """Respond to frames until stdin ends."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the responses
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    while (received := worker_protocol.read(sys.stdin.buffer)) is not None:
        head, data = received
        responses.write(worker_protocol.frame(_respond(head, data)))
        responses.flush()


def _respond(head: dict[str, Any], data: bytes) -> dict[str, Any]:
    name, content_type = str(head["name"]), str(head["content_type"])
    try:
        parsers.import_parser(detect(data, name, content_type))
        _limit_memory(int(head["memory"]))
        parsed = parsers.parse(data, name, content_type)
        return worker_protocol.document_to_json(parsed)
    except ParseError as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {
            "error": f"it needs more than {MAX_MEMORY_BYTES // 2**20} MB of memory; split it into smaller files",
            "exhausted": True,
        }
    except Exception as error:
        return {"error": f"it cannot be read ({type(error).__name__}); save it again or in another format"}


def _limit_memory(memory: int) -> None:
    """Allow ``memory`` bytes of address space beyond what the process uses now."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + memory, hard))


if __name__ == "__main__":
    main()
