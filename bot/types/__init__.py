"""Frozen value types that every layer shares. They import the standard library only."""
