"""Metrics of predictions, and what a sample says about them: intervals and tests."""
