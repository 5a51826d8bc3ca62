"""Benchmarks: each module is a command, ``python -m benchmarks.NAME``, that prints the result of one run."""
