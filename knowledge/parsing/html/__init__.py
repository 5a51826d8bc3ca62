"""Parses web pages: their main content as blocks, without navigation and notices."""
