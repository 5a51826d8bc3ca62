"""Parses messages and exports of Slack and Discord, and decides which channels may be read."""
