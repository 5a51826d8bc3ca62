"""Counts canary words that reach people who may not read them, over tenants, channels, kinds of people and ways to ask.

Every tenant has a document for everybody and one for each channel, each with a canary word of its own. In every channel
a member asks first, so that an answer from tenant-wide documents is cached, stored in a thread, and known by its ID.
Then each kind of person uses every way to get at it. A leak is a canary in a reply that not everybody who reads the
reply may read. Silence counts too: a refusal must say why.
"""
