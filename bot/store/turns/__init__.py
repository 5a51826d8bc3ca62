"""Stores threads and turns: the queue, leases, replies, attachments and memory."""
