"""Datasets: tables, contracts, connectors, scans and joins in time."""
