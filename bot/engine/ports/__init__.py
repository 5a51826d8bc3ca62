"""Ports of the engine: protocols that the outside world implements, one file for each port."""
