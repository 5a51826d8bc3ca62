"""Replaces closed standard streams, remembers whether the output could be written, and drops messages that cannot."""

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


class _Messages(FileIO):
    """Standard error. What cannot be written is dropped: a lost message or log line must not stop a command."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


_output: _Output | None = None


def prepare() -> None:
    """Watch the output and the messages, and replace streams that are None because the caller closed them (``<&-``).

    A closed input reads as empty. A closed output fails like a pipe that nobody reads: otherwise a command could not
    tell that its result was lost, and the next opened file or connection would get the number of the output.
    """
    if sys.stdin is None:
        _move(os.open(os.devnull, os.O_RDONLY), STDIN)
        sys.stdin = TextIOWrapper(open(STDIN, "rb", closefd=False), "utf-8")  # noqa: SIM115
    if sys.stderr is None:
        _move(os.open(os.devnull, os.O_WRONLY), STDERR)
        encoding = "utf-8"
    else:
        encoding = sys.stderr.encoding
    messages = BufferedWriter(_Messages(STDERR, "w", closefd=False))
    sys.stderr = TextIOWrapper(messages, encoding, errors="backslashreplace", line_buffering=True)
    if sys.stdout is None:
        nobody_reads, output = os.pipe()
        _move(output, STDOUT)
        if nobody_reads != STDOUT:
            os.close(nobody_reads)
        encoding, errors = "utf-8", "strict"
    else:
        encoding, errors = sys.stdout.encoding, sys.stdout.errors or "strict"
    sys.stdout = watched(STDOUT, encoding, errors)


def watched(descriptor: int, encoding: str, errors: str) -> TextIOWrapper:
    """Return a text stream that writes to the descriptor. ``flush_output`` returns the error of its writes."""
    global _output
    _output = _Output(descriptor, "w", closefd=False)
    return TextIOWrapper(BufferedWriter(_output), encoding, errors=errors, line_buffering=_output.isatty())


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
