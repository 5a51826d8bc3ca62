"""The process that opens strangers' files: no secrets in its environment, memory limited, killed when it is slow.

Run as ``python -m knowledge.parsing.worker_process``; reads frames from stdin and answers each on stdout.
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

MEMORY = 512 * 1024 * 1024
"""Bytes that a file may take beyond what the parser itself takes."""


def main() -> None:
    """Answer frames until stdin ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    while (received := worker_protocol.read(sys.stdin.buffer)) is not None:
        head, data = received
        answers.write(worker_protocol.frame(_answer(head, data)))
        answers.flush()


def _answer(head: dict[str, Any], data: bytes) -> dict[str, Any]:
    name, content_type = str(head["name"]), str(head["content_type"])
    try:
        parsers.load(detect(data, name, content_type))
        _limit(int(head["memory"]))
        parsed = parsers.parse(data, name, content_type)
        return worker_protocol.packed(parsed)
    except ParseError as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {"error": f"it needs more than {MEMORY // 2**20} MB of memory to be read; split it", "exhausted": True}
    except Exception as error:
        return {"error": f"it cannot be read ({type(error).__name__}); save it again or as another format"}


def _limit(memory: int) -> None:
    """Allow ``memory`` bytes of address space beyond what is taken now."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory, hard))


if __name__ == "__main__":
    main()
