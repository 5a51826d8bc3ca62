"""Serves the web playground: a page on localhost that behaves like a channel in Slack or Discord."""
