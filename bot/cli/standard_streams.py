"""Replaces standard streams that were closed before the start, and remembers whether the output could be written."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDIN, STDOUT, STDERR = 0, 1, 2


class _Output(FileIO):
    """Standard output. It remembers the error of a write, because libraries turn a closed pipe into a silent exit."""

    error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise


_output: _Output | None = None


def prepare() -> None:
    """Watch the output, and replace streams that are None because the caller closed them, as with ``<&-``.

    A closed input reads as empty. A closed output fails like a pipe that nobody reads: otherwise a command could not
    tell that its result was lost, and the next opened file or connection would get the number of the output.
    """
    global _output
    if sys.stdin is None:
        _move(os.open(os.devnull, os.O_RDONLY), STDIN)
        sys.stdin = TextIOWrapper(open(STDIN, "rb", closefd=False), "utf-8")  # noqa: SIM115
    if sys.stderr is None:
        _move(os.open(os.devnull, os.O_WRONLY), STDERR)
        sys.stderr = TextIOWrapper(open(STDERR, "wb", closefd=False), "utf-8", errors="backslashreplace")  # noqa: SIM115
    if sys.stdout is None:
        nobody_reads, output = os.pipe()
        _move(output, STDOUT)
        if nobody_reads != STDOUT:
            os.close(nobody_reads)
        encoding, errors = "utf-8", "strict"
    else:
        encoding, errors = sys.stdout.encoding, sys.stdout.errors or "strict"
    _output = _Output(STDOUT, "w", closefd=False)
    sys.stdout = TextIOWrapper(BufferedWriter(_output), encoding, errors=errors, line_buffering=_output.isatty())


def flush_output() -> OSError | None:
    """Write what the output still buffers. Return the error if anything could not be written, and drop the rest.

    Without this, Python fails to write the rest when it exits and returns a status of its own.
    """
    failed: OSError | None = None
    try:
        sys.stdout.flush()
    except OSError as error:
        failed = error
    failed = _output.error if failed is None and _output is not None else failed
    if failed is not None:
        with suppress(OSError, ValueError):
            _move(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return failed


def _move(descriptor: int, number: int) -> None:
    """Give the descriptor another number."""
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
