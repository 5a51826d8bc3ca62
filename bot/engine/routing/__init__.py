"""Chooses the model tier of a question, with a local classifier of how hard the question is."""
