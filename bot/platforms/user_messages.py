"""Texts that all chat platforms share."""

from __future__ import annotations

ABOUT_THIS_MESSAGE = "What do our documents say about this message?"
QUOTED_MESSAGE = "The question is about this message:"
