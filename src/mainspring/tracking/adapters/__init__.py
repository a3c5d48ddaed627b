"""Adapters of tracking: technology that not every machine has."""
