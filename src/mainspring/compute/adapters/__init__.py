"""Engines, one module for each technology."""
