"""Finds, ranks and merges the passages for a question, and judges how sure they are."""
