"""The web playground: a page on localhost that behaves like a channel. ``app.serve`` runs it."""
