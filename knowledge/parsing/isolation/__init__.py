"""Runs the parsers in separate processes that the kernel isolates."""
