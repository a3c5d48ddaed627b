"""Kinds of sinks, one module for each."""
