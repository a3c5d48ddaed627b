"""Tracking: how values are stored, and the journals that runs append to."""
