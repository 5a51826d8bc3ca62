"""Bytes to text with structure, in a process with limits."""
