"""Parses text documents, workbooks and presentations of office programs."""
