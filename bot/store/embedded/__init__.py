"""The embedded PostgreSQL server: binaries, data folder, life of the server, and its roles and passwords."""
