"""Parses PDF files: text in reading order, tables, forms and outlines."""
