"""Answers without a language model: quotes the pieces of the passages that answer the question."""
