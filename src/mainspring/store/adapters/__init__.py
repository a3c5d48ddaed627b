"""Adapters of the store's ports, one for each technology."""
