"""Telemetry: log entries, metrics and traces about turns, searches and model calls."""
