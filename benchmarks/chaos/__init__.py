"""Chaos tests: kill processes and Postgres at random while simulated users ask, and check that no answer is lost or
repeated."""
