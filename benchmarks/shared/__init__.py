"""Shared by several benchmarks: fixtures, data sets, adapters on the model double, the report of unusable input."""
