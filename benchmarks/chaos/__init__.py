"""Chaos test: several processes on one PostgreSQL are killed at random; nothing may be lost or said twice."""
