"""Parses files of every supported format into structured text, in a sandboxed process."""
