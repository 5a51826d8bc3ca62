"""Chaos: several processes on one Postgres, killed at random while people ask; nothing may be lost or said twice."""
