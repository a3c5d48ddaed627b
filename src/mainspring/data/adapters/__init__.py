"""Connectors, one technology a module."""
