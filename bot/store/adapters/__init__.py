"""PostgreSQL implementations of the engine's storage ports, one class for each port. ``open_stores`` composes them."""
