"""Searchers of other libraries."""
