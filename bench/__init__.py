"""Measurements against the budgets: `make bench`. Nothing here is asserted in a test."""
