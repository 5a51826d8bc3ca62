"""Ports of the engine: protocols that the stores, platforms and model adapters implement, one file for each port."""
