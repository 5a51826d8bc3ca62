"""Stores what the browser page needs beside the conversation: commands, conversation names and files."""
