"""Feed random hostile input to everything that reads what strangers send, and count crashes and wrong results.

    python -m benchmarks.input_fuzz [--only slack-events] [--runs 100000] [--seconds 0] [--seed 1]

The readers are Slack's and Discord's event parsers, the check of Slack's signatures, the streams of model providers,
archives and the splitter; ``tests/fuzz`` makes the inputs and judges the results. A fault is printed with the shortest
input that still shows it, and the reader is left for the next one. Ends with status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz import TARGETS
from tests.fuzz.target import Target

MAX_NOTE_CHARS = 3_000
"""A note holds the input."""


class _TimeUpError(BaseException):
    """Ends a run between two inputs."""


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each reader; return 1 if one has a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[target.name for target in TARGETS], action="append")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each reader")
    parser.add_argument("--seconds", type=float, default=0.0, help="for each reader; 0 is as long as it takes")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    faults = 0
    for target in TARGETS:
        if options.only and target.name not in options.only:
            continue
        began = time.process_time()
        tried, fault = fuzz(target, options.runs, options.seconds, options.seed)
        faults += bool(fault)
        verdict = "1 fault" if fault else "0 faults"
        print(f"{target.name}: {tried:,} inputs, {time.process_time() - began:.0f} s of processor time, {verdict}")
        print(fault, end="", flush=True)
    return min(faults, 1)


def fuzz(target: Target, runs: int, seconds: float, seed: int) -> tuple[int, str]:
    """Return how many inputs were tried, and the first fault with its shortest input; empty if there is none."""
    tried, ends = 0, time.monotonic() + seconds if seconds else float("inf")
    with target.opened() as check:

        def counted(value: Any) -> None:
            nonlocal tried
            if time.monotonic() > ends:
                raise _TimeUpError
            tried += 1
            check(value)

        try:
            _search(counted, target, runs, seed)()
        except _TimeUpError:
            pass
        except Exception as error:
            return tried, _shown(error)
    return tried, ""


def _shown(error: Exception) -> str:
    """Return the end of the traceback and the input, which Hypothesis adds as a note."""
    where = traceback.format_list(traceback.extract_tb(error.__traceback__)[-3:])
    notes = [note[:MAX_NOTE_CHARS] for note in getattr(error, "__notes__", ())]
    return "".join([*where, *traceback.format_exception_only(error)[:1], *notes[:1], "\n"])


def _search(check: Callable[[Any], None], target: Target, runs: int, seed: int) -> Callable[[], None]:
    """Return the run over inputs that the seed decides."""
    chosen = settings(
        max_examples=runs,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
    )
    search: Callable[[], None] = hypothesis.seed(seed)(chosen(given(target.inputs)(check)))
    return search


if __name__ == "__main__":
    sys.exit(main())
