"""The embedded PostgreSQL server: its programs, data folder, start and stop, roles and passwords."""
