"""Language models: adapters of providers, the extractive answerer, retries and fallback, prices and token counts.

``build.build(settings)`` returns the LLM, ``diagnostics.check(settings)`` tests it, ``tokens.TokenCounter`` counts.
"""
