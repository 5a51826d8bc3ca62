"""Erases and encrypts personal data, and applies the retention period."""
