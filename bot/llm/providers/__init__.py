"""Adapters of the providers' APIs, which meter every call and translate every error."""
