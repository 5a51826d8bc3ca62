"""Batches of prompts at half the price, with the batch APIs of the providers."""
