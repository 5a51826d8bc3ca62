"""Answers that people have verified: their records, finding them by meaning, and noticing that they are out of date."""
