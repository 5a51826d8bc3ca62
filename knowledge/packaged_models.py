"""Names of the embedding models that come in packages, for code that must not load an embedder."""

OFFLINE_MODEL = "all-MiniLM-L6-v2"
MULTILINGUAL_MODEL = "multilingual-e5-small"
