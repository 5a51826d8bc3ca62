"""The models: adapters of real providers, the extractive answerer, and the LLM that keeps calm over all of them.

``build.build(settings)`` makes the LLM, ``check.check(settings)`` tries it, ``tokens.TokenCounter`` counts.
"""
