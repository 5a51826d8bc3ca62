"""Show random hostile texts on every platform, and count crashes, links that are not allowed and disagreements.

    python -m benchmarks.output_fuzz [--runs 20000] [--seconds 0] [--seed 1] [--show 5]

Each run builds one text and shows it as an answer, as a command's reply, as the names of a source, and as a draft cut
at one random place, on Slack, Discord and the web page. The readers of the output share no code with the bot. Ends
with status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections import Counter

from benchmarks.unusable_input import unusable
from tests.doubles import hostile_markdown, output_checks


def main() -> int:
    """Run the fuzzer and print the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after this time; 0 is never")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5, help="faulty texts to print")
    options = parser.parse_args()
    started, runs, crashes, faulty = time.monotonic(), 0, 0, 0
    kinds: Counter[str] = Counter()
    for number in range(options.runs):
        if options.seconds and time.monotonic() - started > options.seconds:
            break
        runs += 1
        chance = random.Random(f"{options.seed}:{number}")
        text = hostile_markdown.text(chance)
        try:
            cut = chance.randint(0, len(text))
            found = [*output_checks.faults(text), *output_checks.stream_faults(text, range(cut, cut + 1))]
        except Exception:
            crashes += 1
            found = [traceback.format_exc()]
        if found:
            faulty += 1
            kinds.update(fault.partition(":")[0] for fault in found)
            if faulty <= options.show:
                print(repr(text), *found, sep="\n  ")
    print(f"{runs:,} runs in {time.monotonic() - started:.0f} s, {crashes} crashes, {faulty} texts with a fault")
    for kind, count in kinds.most_common():
        print(f"  {count:6,}  {kind}")
    return bool(faulty) if runs else unusable("no text was made.")


if __name__ == "__main__":
    sys.exit(main())
