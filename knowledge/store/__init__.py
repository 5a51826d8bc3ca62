"""Reads and writes documents, chunks, vectors and sources in Postgres."""
