"""Connects to Postgres: sessions, transactions, retries, locks, notifications and migrations."""
