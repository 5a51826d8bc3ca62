"""Benchmarks. Each module is a command, `python -m benchmarks.NAME`, that measures something and prints the results."""
