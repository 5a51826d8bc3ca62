"""Stores what models cost: reservations, daily counters and the ledger."""
