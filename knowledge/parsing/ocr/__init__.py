"""Recognizes the text in pictures and scanned pages."""
